"""The least that any data preparation must do: read every photograph, take its checksum, write it."""

import os
import sys

import google_crc32c


def raw_copy(images_dir: str, output_dir: str, copies: int) -> None:
    """Copies all photographs of a folder, each `copies` times, into one file."""
    os.makedirs(output_dir)
    with open(os.path.join(output_dir, "train-00000-of-00001"), "wb", buffering=0) as output:
        for _ in range(copies):
            for entry in os.scandir(images_dir):
                with open(entry.path, "rb", buffering=0) as file:
                    content = file.read()
                output.write(google_crc32c.value(content).to_bytes(4))
                output.write(content)


if __name__ == "__main__":
    raw_copy(sys.argv[1], sys.argv[2], int(sys.argv[3]))
