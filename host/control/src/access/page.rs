//! The table, as people read it: `docs/permissions.md`.

use std::fmt::Write;

use super::powers::TABLE;
use super::{Cell, Guard, ROLES, Row};

const HEAD: &str = "\
# Who may do what

Written by the code: `WHARF_WRITE=1 cargo test -p host-control --test permissions` rewrites this page, \
and the same test fails while it differs. It calls every operation as every role, as the same role of \
another tenant, and as nobody. The words are in the [glossary](glossary.md); how to give somebody a token \
is in [People and tokens](how-to/people-and-tokens.md).

- **yes**: over everything that the token names: the operator's everything, any other one its own tenant.
- **own**: an admin's over its own tenant; a service token's over the workflows and connections that it is \
limited to, and over the runs that it started.
- **no**: refused with 403 `forbidden`.

Without a token, or with one that is unknown, expired or revoked, every operation answers 401 \
`unauthorized`. What is another tenant's answers 404 `not-found`, as if it were not there, whatever the \
role; what is the host's answers 403 to everybody but the operator.

## Powers

";

const OUTSIDE: &str = "
## Outside the API

`/hooks/...` takes no token: the connection says [how its requests are verified](how-to/receive-webhooks.md). \
`/events/...` takes none: the address of an event is its own secret. `/login...` takes none: it is how \
[people get one](how-to/people-and-tokens.md#let-people-log-in). `/oauth/callback` takes none: it is shown a state that \
whoever began was given. `/healthz`, `/readyz` and `/metrics` \
take none: keep them inside your network.
";

/// One line of the second table.
pub(crate) struct Line {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) guard: Guard,
}

/// The whole page.
pub(crate) fn page(lines: &[Line]) -> String {
    let mut page = HEAD.to_owned();
    let columns = ROLES.join(" | ");
    let dashes = "--- | ".repeat(ROLES.len());
    let _ = writeln!(page, "| power | what it lets one do | {columns} |\n| --- | --- | {}|", dashes);
    for Row { name, about, cells } in TABLE {
        let _ = writeln!(page, "| {name} | {about} | {} |", words(cells));
    }
    let _ = writeln!(page, "\n## Operations\n\n| operation | power | {columns} |\n| --- | --- | {dashes}|");
    for Line { method, path, guard } in lines {
        let row = guard.row;
        let _ =
            writeln!(page, "| {} `{path}` | {} | {} |", method.to_uppercase(), row.name, words(&row.cells));
    }
    page + OUTSIDE
}

fn words(cells: &[Cell]) -> String {
    cells.iter().map(|cell| cell.word()).collect::<Vec<_>>().join(" | ")
}
