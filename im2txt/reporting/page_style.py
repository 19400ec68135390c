"""The looks of the report's page."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b2330; --soft: #66707f; --paper: #f4f5f7; --card: #fff; --line: #e2e5ea;
  --run: #2f6fde; --floor: #d9822b; --human: #1f9d6b; --note: #fff3dd; --note-ink: #7a4a05; --well: #eceff3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7eaf0; --soft: #98a2b1; --paper: #12151a; --card: #1b1f26;
  --line: #2d333d; --run: #6ea2ff; --floor: #f0a655; --human: #4fcf9b; --note: #3a2c12; --note-ink: #ffd89a;
  --well: #262b34; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1240px; padding: 24px 16px 56px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
header { margin: 0 4px 20px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
header p { margin: 6px 0 0; color: var(--soft); overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 0 0 8px; }
h3 { font-size: 12px; font-weight: 600; color: var(--soft); margin: 12px 0 2px; }
p { margin: 0 0 10px; }
small, .soft, .name { color: var(--soft); font-size: 13px; }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 16px; }
main > div { display: grid; align-content: start; gap: 16px; min-width: 0; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 18px; min-width: 0; }
.wide { grid-column: 1 / -1; background: none; border: 0; padding: 12px 0 0; }
.missing { background: var(--note); color: var(--note-ink); border-radius: 8px; padding: 8px 12px; }
pre { margin: 0; padding: 10px 12px; background: var(--well); border-radius: 8px; white-space: pre-wrap;
  overflow-wrap: anywhere; font: 13px/1.5 ui-monospace, monospace; }
.tile { display: inline-block; margin: 0 28px 14px 0; }
.tile b { display: block; font-size: 30px; line-height: 1.15; font-weight: 650; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
.bars { display: grid; gap: 10px; font-variant-numeric: tabular-nums; }
.bar { display: grid; grid-template-columns: 1fr auto; gap: 2px 12px; }
.track { grid-column: 1 / -1; position: relative; height: 8px; border-radius: 4px; background: var(--well); }
.track div { height: 100%; border-radius: 4px; background: var(--run); }
.track i { position: absolute; top: -3px; width: 3px; height: 14px; margin-left: -1.5px; border-radius: 2px;
  box-shadow: 0 0 0 1px var(--card); }
i.run, i.train { background: var(--run); } i.floor { background: var(--floor); }
i.human, i.val { background: var(--human); }
.key { margin: 14px 0 8px; color: var(--soft); font-size: 13px; }
.key i { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin: 0 6px 0 0; }
.key i:not(:first-child) { margin-left: 16px; }
.axes { display: flex; justify-content: space-between; color: var(--soft); font-size: 12px; margin: 0 0 10px; }
.plot { position: relative; height: 280px; margin: 0 40px 28px 34px; }
.plot svg { display: block; width: 100%; height: 100%; overflow: visible; }
.plot path { fill: none; vector-effect: non-scaling-stroke; stroke-linejoin: round; }
.plot .grid { stroke: var(--line); } .plot .train { stroke: var(--run); stroke-width: 1.5; }
.plot .val { stroke: var(--human); stroke-width: 2; }
.plot .dots { stroke: var(--human); stroke-width: 8; stroke-linecap: round; }
.plot span { position: absolute; color: var(--soft); font-size: 12px; line-height: 1; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.plot .left { right: calc(100% + 8px); transform: translateY(-50%); }
.plot .right { left: calc(100% + 8px); transform: translateY(-50%); }
.plot .under { top: calc(100% + 9px); transform: translateX(-50%); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 270px), 1fr)); gap: 16px; }
article { background: var(--card); border: 1px solid var(--line); border-radius: 12px; overflow: hidden; }
article > div { padding: 12px 16px 14px; }
article img { display: block; width: 100%; height: 230px; object-fit: contain; background: var(--well); }
article img.small { image-rendering: pixelated; }
ul { margin: 0; padding: 0; list-style: none; font-size: 14px; overflow-wrap: anywhere; }
.caption { font-size: 17px; line-height: 1.35; font-weight: 600; margin: 0 0 4px; overflow-wrap: anywhere; }
.caption small { font-weight: 400; }
.others { color: var(--soft); }
.name { margin: 10px 0 0; font-size: 12px; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 500; font-size: 13px; }
th, td { padding: 4px 0 4px 12px; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
summary { cursor: pointer; color: var(--soft); }
.fields { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 250px), 1fr)); gap: 4px 24px; }
dl { margin: 0; display: grid; grid-template-columns: 1fr auto; gap: 0 12px; font-size: 13px; }
dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
"""
