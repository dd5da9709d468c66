"""The command line: `tidings serve`, `send`, `tail`, `history`, `search`, `rooms`, `import` and the rest.

The modules of commands import only what the command line needs; a command imports the rest when it runs. So `tidings
send` does not load a web server, and `tidings --help` loads no command's libraries.

Exit codes: 0 success, 1 failure, 2 usage error, 130 interrupted by Ctrl-C, 141 the pipe that stdout goes to was closed.
"""

import os
import sys

EXIT_INTERRUPTED = 130
EXIT_PIPE_CLOSED = 141


def main() -> int:
    """Run the command that `sys.argv` names; returns the exit code. An error is one line on stderr, not a traceback."""
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
            raise  # of stdout, the only file written without a name
        from tidings.cli.errors import print_error

        return print_error(error)
    except Exception as error:
        from tidings.cli.errors import print_error

        return print_error(error)
    return int(exit_code or 0)
