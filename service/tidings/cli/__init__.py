"""The command line: `tidings serve`, `send`, `tail`, `history`, `search`, `rooms`, `import` and the rest.

Nothing heavy is imported here or by the modules of commands themselves: a command imports what it needs when it
runs, so that `tidings send` does not wait for a web server and `tidings --help` waits for nobody.

Exit codes: 0 done, 1 could not be done, 2 wrongly called, 130 ended with Ctrl-C, 141 the reader of the pipe left.
"""

import os
import sys

INTERRUPTED = 130
PIPE_CLOSED = 141


def main() -> int:
    """Run the command that `sys.argv` names; the exit code. What fails is one line on stderr, never a traceback."""
    from tidings.cli.screen import prepare_streams

    prepare_streams()
    try:
        code = _run()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        code = PIPE_CLOSED
    except OSError as error:
        from tidings.cli.complaints import complain

        code = complain(error)
    # The interpreter flushes stdout once more on its way out; that must not fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _run() -> int:
    from tidings.cli.commands import program
    from tidings.cli.screen import ReaderLeft

    try:
        asked = sys.argv[1] if len(sys.argv) > 1 else ""
        code = program(asked).main(prog_name="tidings", standalone_mode=False)
    except ReaderLeft as left:
        raise BrokenPipeError from left
    except OSError as error:
        if error.filename is None:
            raise  # of stdout: the one file that is written without a name
        from tidings.cli.complaints import complain

        return complain(error)
    except Exception as error:
        from tidings.cli.complaints import complain

        return complain(error)
    return int(code or 0)
