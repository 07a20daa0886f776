//! jq, without anything that reaches out or differs from run to run.

use std::rc::Rc;

use jaq_core::data::JustLut;
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, load};
use jaq_json::Val;

use crate::jq_parts::{MAX_BRACKETS, is_too_deep};
use crate::prelude::needed;

/// Filters that ask the clock, the environment or the machine's time zone,
/// write to a log, or end the process: an expression has none of them.
pub(crate) const ABSENT: [&str; 13] = [
    "debug",
    "debug_empty",
    "env",
    "halt",
    "halt_error",
    "input",
    "inputs",
    "localtime",
    "now",
    "repl",
    "stderr",
    "stderr_empty",
    "strflocaltime",
];

/// Text that is not jq, or that names something that is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadJq {
    /// Where in the expression, in bytes.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
}

/// An expression, ready to be evaluated.
#[derive(Clone)]
pub struct Program(Rc<Way>);

enum Way {
    /// `$a.b.c` or `.b.c`, which most expressions are: no need of an interpreter.
    Path {
        start: Option<usize>,
        keys: Vec<Val>,
    },
    Filter(jaq_core::Filter<JustLut<Val>>),
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Program")
    }
}

impl Program {
    /// Compiles an expression that may use these variables, named without their `$`.
    pub fn compile(text: &str, vars: &[&str]) -> Result<Self, BadJq> {
        if is_too_deep(text) {
            let message = format!("brackets stand in each other more than {MAX_BRACKETS} deep");
            return Err(BadJq { offset: 0, message });
        }
        if let Some((start, keys)) = path(text, vars) {
            return Ok(Self(Rc::new(Way::Path { start, keys })));
        }
        let arena = Arena::default();
        let prelude = needed(text);
        let defs = load::parse(&prelude, |parser| parser.defs()).unwrap_or_default();
        let modules = Loader::new(defs).load(&arena, File { code: text, path: () });
        let modules = modules.map_err(|errors| unreadable(text, errors))?;
        let names: Vec<String> = vars.iter().map(|name| format!("${name}")).collect();
        let filter = Compiler::default()
            .with_funs(funs())
            .with_global_vars(names.iter().map(String::as_str))
            .compile(modules)
            .map_err(|errors| undefined(text, errors))?;
        Ok(Self(Rc::new(Way::Filter(filter))))
    }

    /// The first value it gives for `.` and the variables, in the order that
    /// they were named in; `None` if it gives none.
    pub fn first(&self, dot: Val, vars: Vec<Val>) -> Result<Option<Val>, String> {
        match &*self.0 {
            Way::Path { start, keys } => {
                let mut value = start.map_or(dot, |at| vars.get(at).cloned().unwrap_or_default());
                for key in keys {
                    value = jaq_core::ValT::index(value, key).map_err(|error| said(&error.to_string()))?;
                }
                Ok(Some(value))
            }
            Way::Filter(filter) => {
                let ctx = Ctx::<JustLut<Val>>::new(&filter.lut, Vars::new(vars));
                let mut values = filter.id.run((ctx, dot)).map(jaq_core::unwrap_valr);
                values.next().transpose().map_err(|error| said(&error.to_string()))
            }
        }
    }
}

/// What an error says, without the megabytes of data that it may quote.
fn said(text: &str) -> String {
    /// Enough to know the value by.
    const MOST: usize = 300;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Reads `$a.b.c`, `.b.c` and `.`; anything else is `None`.
fn path(text: &str, vars: &[&str]) -> Option<(Option<usize>, Vec<Val>)> {
    let (start, rest) = match text.strip_prefix('$') {
        Some(rest) => {
            let (name, rest) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
            (Some(vars.iter().position(|known| *known == name)?), rest)
        }
        None if text == "." => (None, ""),
        None => (None, text),
    };
    let mut keys = Vec::new();
    if !rest.is_empty() {
        for key in rest.strip_prefix('.')?.split('.') {
            let mut chars = key.chars();
            let first = chars.next()?;
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if !(first.is_ascii_alphabetic() || first == '_') || !chars.all(word) {
                return None;
            }
            keys.push(Val::from(key.to_owned()));
        }
    }
    (start.is_some() || text.starts_with('.')).then_some((start, keys))
}

fn funs() -> impl Iterator<Item = jaq_core::native::Fun<JustLut<Val>>> {
    jaq_core::funs()
        .chain(jaq_std::funs())
        .chain(jaq_json::funs())
        .filter(|(name, ..)| !ABSENT.contains(name))
}

fn offset(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize)
        .checked_sub(text.as_ptr() as usize)
        .filter(|at| *at <= text.len())
        .unwrap_or(text.len())
}

fn unreadable(text: &str, errors: load::Errors<&str, ()>) -> BadJq {
    let found = |part: &str| match part.split_whitespace().next() {
        Some(word) => format!("`{}`", said(word)),
        None => "the end".to_owned(),
    };
    let first = errors.into_iter().find_map(|(_, error)| match error {
        load::Error::Io(parts) => parts.into_iter().next().map(|(part, _)| BadJq {
            offset: offset(text, part),
            message: "modules cannot be imported here".to_owned(),
        }),
        load::Error::Lex(parts) => parts.into_iter().next().map(|(want, part)| BadJq {
            offset: offset(text, part),
            message: format!("expected {}, found {}", want.as_str(), found(part)),
        }),
        load::Error::Parse(parts) => parts.into_iter().next().map(|(want, part)| BadJq {
            offset: offset(text, part),
            message: format!("expected {}, found {}", want.as_str(), found(part)),
        }),
    });
    first.unwrap_or_else(|| BadJq { offset: 0, message: "this is no jq".to_owned() })
}

fn undefined(text: &str, errors: jaq_core::compile::Errors<&str, ()>) -> BadJq {
    use jaq_core::compile::Undefined;
    let first = errors.into_iter().flat_map(|(_, errors)| errors).next();
    let Some((name, what)) = first else {
        return BadJq { offset: 0, message: "this is no jq".to_owned() };
    };
    let message = match what {
        Undefined::Var => format!("`{name}` is not set here"),
        Undefined::Filter(_) if ABSENT.contains(&name) => {
            format!("`{name}` is not there: an expression sees only its workflow's values")
        }
        Undefined::Filter(arity) => format!("there is no filter `{name}/{arity}`"),
        other => format!("there is no {} `{name}`", other.as_str()),
    };
    BadJq { offset: offset(text, name), message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{from_json, to_json};

    fn eval(text: &str, dot: &str) -> Result<String, String> {
        let program = Program::compile(text, &["x"]).map_err(|bad| format!("{}: {bad}", bad.offset))?;
        let value = program.first(from_json(dot).unwrap(), vec![from_json(r#"{"a":{"b":7}}"#).unwrap()])?;
        Ok(value.map_or_else(|| "nothing".to_owned(), |value| to_json(&value).unwrap()))
    }

    #[test]
    fn expressions_give_what_jq_gives() {
        for (text, dot, want) in [
            (".", "1", "1"),
            (".a.b", r#"{"a":{"b":2}}"#, "2"),
            (".a.b", r#"{"a":null}"#, "null"),
            ("$x.a.b", "null", "7"),
            ("$x.a.b + 1", "null", "8"),
            (".[] | select(. > 1)", "[1,2,3]", "2"),
            ("empty", "1", "nothing"),
            (r#""a \(.n + 1) \(.s)""#, r#"{"n":1,"s":"t"}"#, r#""a 2 t""#),
            ("map(. * 2) | add", "[1,2]", "6"),
            ("[.[] | @base64]", r#"["a"]"#, r#"["YQ=="]"#),
            (r#"ascii_downcase | gsub("[^a-z]+"; "-")"#, r#""North America""#, r#""north-america""#),
            ("to_entries | map(.key) | join(\",\")", r#"{"b":1,"a":2}"#, r#""b,a""#),
            (".company // \"none\"", "{}", r#""none""#),
            ("try error(\"x\") catch .", "1", r#""x""#),
            ("unique_by(.a) | length", r#"[{"a":1},{"a":1}]"#, "1"),
            ("fromdateiso8601", r#""2026-01-01T00:00:00Z""#, "1767225600"),
            ("any(.[]; . == 2)", "[1,2]", "true"),
            ("paths", r#"{"a":1}"#, r#"["a"]"#),
            ("walk(if type == \"number\" then . + 1 else . end)", "[1,[2]]", "[2,[3]]"),
            ("def f: . + 1; f | f", "1", "3"),
            ("tostring | tonumber", "5", "5"),
            ("splits(\", *\")", r#""a, b""#, r#""a""#),
            ("limit(1; range(10))", "null", "0"),
            ("@json", "[1]", r#""[1]""#),
        ] {
            assert_eq!(eval(text, dot).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn every_filter_of_jq_compiles_by_itself() {
        // So that the choice of needed definitions never misses one.
        for def in jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs()) {
            if ABSENT.contains(&def.name) {
                continue;
            }
            let args = vec!["1"; def.args.len()].join("; ");
            let call = if args.is_empty() { def.name.to_owned() } else { format!("{}({args})", def.name) };
            assert!(Program::compile(&call, &[]).is_ok(), "{call}");
        }
    }

    #[test]
    fn nothing_reaches_out() {
        for name in ABSENT.iter().chain(&["$ENV", "$__prog_args", "input_filename", "getpath(env)"]) {
            let error = eval(name, "1").unwrap_err();
            assert!(
                error.contains("not there") || error.contains("no filter") || error.contains("not set"),
                "{name}: {error}"
            );
        }
        assert!(eval("include \"x\"; 1", "1").is_err());
    }

    #[test]
    fn errors_say_where() {
        for (text, want) in [
            (".a +", "4: expected term, found the end"),
            ("  .a | foo(1)", "7: there is no filter `foo/1`"),
            ("1 + $y", "4: `$y` is not set here"),
            ("\"abc", "4: expected closing quote"),
            ("(1", "2: expected closing parenthesis"),
            ("if 1 then 2 els 3 end", "12: expected"),
        ] {
            let error = eval(text, "1").unwrap_err();
            assert!(error.starts_with(want), "{text}: {error}");
        }
        assert_eq!(eval(".a", "[1]").unwrap_err(), "cannot index [1] with \"a\"");
        assert!(eval("error(\"x\" * 1000)", "1").unwrap_err().len() < 310);
    }
}
