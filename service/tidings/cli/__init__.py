"""The command line: `tidings serve`, `send`, `tail`, `history`, `search`, `rooms`, `import` and the rest.

Nothing heavy is imported here or by the modules of commands themselves: a command imports what it needs when it
runs, so that `tidings send` does not wait for a web server and `tidings --help` waits for nobody.

Exit codes: 0 done, 1 could not be done, 2 wrongly called, 130 ended with Ctrl-C, 141 the reader of the pipe left.
"""

import os
import sys

EXIT_INTERRUPTED = 130
EXIT_PIPE_CLOSED = 141


def main() -> int:
    """Run the command that `sys.argv` names; the exit code. What fails is one line on stderr, never a traceback."""
    from tidings.cli.terminal import prepare_streams

    prepare_streams()
    try:
        exit_code = _run()
        sys.stdout.flush()
        return exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        exit_code = EXIT_PIPE_CLOSED
    except OSError as error:
        from tidings.cli.errors import print_error

        exit_code = print_error(error)
    # The interpreter flushes stdout once more on its way out; that must not fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return exit_code


def _run() -> int:
    from tidings.cli.commands import build_program
    from tidings.cli.terminal import StdoutClosed

    try:
        command_name = sys.argv[1] if len(sys.argv) > 1 else ""
        exit_code = build_program(command_name).main(prog_name="tidings", standalone_mode=False)
    except StdoutClosed as closed:
        raise BrokenPipeError from closed
    except OSError as error:
        if error.filename is None:
            raise  # of stdout: the one file that is written without a name
        from tidings.cli.errors import print_error

        return print_error(error)
    except Exception as error:
        from tidings.cli.errors import print_error

        return print_error(error)
    return int(exit_code or 0)
