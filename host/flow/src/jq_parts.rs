//! Which variables an expression needs from outside.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::load::{Lexer, Parser};
use jaq_core::path::Part;

/// How deep brackets may stand in each other: far more than anybody writes,
/// and far less than a parser's stack holds.
pub(crate) const MAX_BRACKETS: usize = 100;

/// The variables that an expression uses and does not bind itself, each once,
/// without their `$`, with their place in bytes. Empty for what is no jq.
pub(crate) fn free_variables(jq: &str) -> Vec<(&str, usize)> {
    if is_too_deep(jq) {
        return Vec::new(); // that is said when it is compiled
    }
    let Ok(tokens) = Lexer::new(jq).lex() else { return Vec::new() };
    let Ok(term) = Parser::new(&tokens).parse(Parser::term) else { return Vec::new() };
    let mut search = Search { bound: Vec::new(), free: Vec::new() };
    search.term(&term);
    let start = jq.as_ptr() as usize;
    let at = |name: &str| (name.as_ptr() as usize).saturating_sub(start);
    search.free.into_iter().map(|var| (var.trim_start_matches('$'), at(var))).collect()
}

/// Whether brackets stand in each other deeper than is safe to parse. Those in
/// texts count too, which is on the safe side.
pub(crate) fn is_too_deep(jq: &str) -> bool {
    let mut open = 0_usize;
    jq.chars().any(|c| {
        match c {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > MAX_BRACKETS
    })
}

/// The variable, if an expression is that and nothing else.
pub(crate) fn only_variable(jq: &str) -> Option<&str> {
    let name = jq.trim().strip_prefix('$')?;
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_').then_some(name)
}

struct Search<'a> {
    bound: Vec<&'a str>,
    free: Vec<&'a str>,
}

impl<'a> Search<'a> {
    fn use_of(&mut self, var: &'a str) {
        if !self.bound.contains(&var) && !self.free.contains(&var) {
            self.free.push(var);
        }
    }

    /// With more variables bound for a while.
    fn within(&mut self, vars: Vec<&'a str>, search: impl FnOnce(&mut Self)) {
        let before = self.bound.len();
        self.bound.extend(vars);
        search(self);
        self.bound.truncate(before);
    }

    fn term(&mut self, term: &Term<&'a str>) {
        match term {
            Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) => {}
            Term::Var(var) => self.use_of(var),
            Term::Str(_, parts) => {
                for part in parts {
                    if let StrPart::Term(inner) = part {
                        self.term(inner);
                    }
                }
            }
            Term::Arr(inner) => inner.iter().for_each(|inner| self.term(inner)),
            Term::Obj(entries) => {
                for (key, value) in entries {
                    self.term(key);
                    value.iter().for_each(|value| self.term(value));
                }
            }
            Term::Neg(inner) | Term::Label(_, inner) => self.term(inner),
            Term::BinOp(left, BinaryOp::Pipe(Some(pattern)), right) => {
                self.term(left);
                let vars = self.pattern(pattern);
                self.within(vars, |search| search.term(right));
            }
            Term::BinOp(left, _, right) => {
                self.term(left);
                self.term(right);
            }
            Term::Fold(_, over, pattern, args) => {
                self.term(over);
                let vars = self.pattern(pattern);
                self.within(vars, |search| args.iter().for_each(|arg| search.term(arg)));
            }
            Term::TryCatch(body, catch) => {
                self.term(body);
                catch.iter().for_each(|catch| self.term(catch));
            }
            Term::IfThenElse(ways, otherwise) => {
                for (when, then) in ways {
                    self.term(when);
                    self.term(then);
                }
                otherwise.iter().for_each(|otherwise| self.term(otherwise));
            }
            Term::Def(defs, rest) => {
                for def in defs {
                    let vars = def.args.iter().copied().filter(|arg| arg.starts_with('$')).collect();
                    self.within(vars, |search| search.term(&def.body));
                }
                self.term(rest);
            }
            Term::Call(_, args) => args.iter().for_each(|arg| self.term(arg)),
            Term::Path(head, path) => {
                self.term(head);
                for (part, _) in &path.0 {
                    match part {
                        Part::Index(index) => self.term(index),
                        Part::Range(from, to) => from.iter().chain(to).for_each(|end| self.term(end)),
                    }
                }
            }
        }
    }

    /// The variables that a pattern binds.
    fn pattern(&mut self, pattern: &Pattern<&'a str>) -> Vec<&'a str> {
        match pattern {
            Pattern::Var(var) => vec![var],
            Pattern::Arr(items) => items.iter().flat_map(|item| self.pattern(item)).collect(),
            Pattern::Obj(entries) => {
                let mut vars = Vec::new();
                for (key, value) in entries {
                    self.term(key);
                    vars.extend(self.pattern(value));
                }
                vars
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_comes_from_outside_is_free() {
        for (jq, want) in [
            ("$a.b + $c[$d]", vec!["a", "c", "d"]),
            (". as $x | $x + $y", vec!["y"]),
            (". as [$x, {k: $y, $z}] | $x + $y + $z", vec![]),
            ("reduce .[] as $i (0; . + $i) + $i", vec!["i"]),
            ("def f($p): $p + $q; f(1) | $p", vec!["q", "p"]),
            ("\"a \\($s) $t\"", vec!["s"]),
            ("{$a, b: $c, ($d): 1}", vec!["a", "c", "d"]),
            ("if $a then $b elif $c then . else $d end", vec!["a", "b", "c", "d"]),
            ("try $a catch $b", vec!["a", "b"]),
            ("[label $out | break $out]", vec![]),
            (".[$f:$t]", vec!["f", "t"]),
            ("-$n | map($m) # $o", vec!["n", "m"]),
            (". as {(\"k\" + $k): $v} | $v", vec!["k"]),
            ("$", vec![]),
        ] {
            assert_eq!(free_variables(jq).into_iter().map(|it| it.0).collect::<Vec<_>>(), want, "{jq}");
        }
        assert_eq!(free_variables("1 + $ab"), vec![("ab", 4)]);
    }

    #[test]
    fn a_variable_alone_is_known_for_one() {
        assert_eq!(only_variable("$lead"), Some("lead"));
        assert_eq!(only_variable("$lead.id"), None);
        assert_eq!(only_variable("."), None);
    }

    #[test]
    fn brackets_have_a_depth() {
        assert!(!is_too_deep(&"()".repeat(1_000)));
        assert!(is_too_deep(&"[".repeat(MAX_BRACKETS + 1)));
    }
}
