"""`rankline`, and `python -m rankline`: the command line."""

from pipeline.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
