"""inkmill desk: the web pages, and the people who may sign in there."""

from __future__ import annotations

import ipaddress
import sys
from typing import TYPE_CHECKING

import click

from inkmill.cli.display import say
from inkmill.errors import UsageError

if TYPE_CHECKING:
    from inkmill.desk.context import DeskContext

_ROLES = ("keyer", "second", "supervisor", "admin")

role_option = click.option(
    "--role",
    type=click.Choice(_ROLES),
    default="keyer",
    show_default=True,
    help="What the person may do.",
)
password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input, one line."
)


@click.group(invoke_without_command=True)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; another than loopback needs people with passwords.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8600,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.pass_context
def desk(ctx: click.Context, host: str, port: int) -> None:
    """Serve the web pages for jobs, review and templates until Ctrl-C.

    On the first start, a link is printed that signs in as an administrator, once.
    """
    if ctx.invoked_subcommand is not None:
        return
    from inkmill.desk.serving import serve

    context = _context("info")
    if not context.people.somebody_can_sign_in() and not _is_loopback(host):
        raise UsageError(
            f"--host {host}: nobody could sign in yet. Add a person first: "
            "inkmill desk add-user NAME --role admin"
        )
    serve(context, host, port, announce=say)


@desk.command("add-user")
@click.argument("name")
@role_option
@password_option
def add_user(name: str, role: str, password_stdin: bool) -> None:
    """Add the person NAME, and ask for a password."""
    from inkmill.desk.people.roles import Role

    context = _context()
    context.people.add(name, Role(role), _password(password_stdin))
    context.trail.add("", "add-user", f"{name} as {role}, by the command line")
    say(f"added {name} as {role}")


@desk.command("passwd")
@click.argument("name")
@password_option
def passwd(name: str, password_stdin: bool) -> None:
    """Change the password of NAME; all sessions of NAME end."""
    context = _context()
    context.people.get(name)  # before anybody types a password in vain
    context.people.set_password(name, _password(password_stdin))
    context.trail.add("", "passwd", f"{name}, by the command line")
    say(f"changed the password of {name}")


@desk.command("set-role")
@click.argument("name")
@role_option
def set_role(name: str, role: str) -> None:
    """Change what NAME may do."""
    from inkmill.desk.people.roles import Role

    context = _context()
    context.people.set_role(name, Role(role))
    context.trail.add("", "set-role", f"{name} is {role}, by the command line")
    say(f"{name} is now {role}")


@desk.command("list-users")
def list_users() -> None:
    """List the people who may sign in: name and role."""
    for person in _context().people.all():
        click.echo(f"{person.name}\t{person.role}")


@desk.command("remove-user")
@click.argument("name")
def remove_user(name: str) -> None:
    """Remove NAME, who is then signed out."""
    context = _context()
    context.people.remove(name)
    context.trail.add("", "remove-user", f"{name}, by the command line")
    say(f"removed {name}")


def _context(level: str = "warning") -> DeskContext:
    from inkmill.desk.context import DeskContext
    from inkmill.log import set_up_logging
    from inkmill.producer import connect

    made = connect()
    set_up_logging(made.settings.log_format, level)
    return DeskContext(made)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        raise UsageError("no terminal to ask for a password: pass it with --password-stdin")
    found: str = click.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
