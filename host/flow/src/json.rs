//! Between jq's values and JSON texts.

use jaq_json::{Num, Val};

/// The largest integer up to which every integer is a float of its own: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Reads one JSON text.
pub fn from_json(text: &str) -> Result<Val, String> {
    jaq_json::read::parse_single(text.as_bytes()).map_err(|error| error.to_string())
}

/// Writes a value as one JSON text. Not-a-number and infinity become `null`, as
/// in jq; a whole float is written as an integer (`5`, not `5.0`), for readers
/// that want one.
pub fn to_json(value: &Val) -> Result<String, String> {
    let mut text = String::new();
    write(&mut text, value)?;
    Ok(text)
}

fn write(out: &mut String, value: &Val) -> Result<(), String> {
    match value {
        Val::Null => out.push_str("null"),
        Val::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Val::Num(Num::Float(number)) if !number.is_finite() => out.push_str("null"),
        Val::Num(Num::Float(number)) if number.fract() == 0.0 && number.abs() < EXACT => {
            out.push_str(&format!("{number:.0}").replace("-0", if *number == 0.0 { "0" } else { "-0" }));
        }
        Val::Num(number) => out.push_str(&number.to_string()),
        Val::TStr(bytes) => write_text(out, bytes),
        Val::BStr(_) => return Err("bytes are no JSON: make a text of them, with `@base64`".to_owned()),
        Val::Arr(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write(out, item)?;
            }
            out.push(']');
        }
        Val::Obj(entries) => {
            out.push('{');
            for (place, (key, item)) in entries.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                let Val::TStr(name) = key else {
                    return Err(format!("`{key}` cannot be a key: JSON's keys are texts"));
                };
                write_text(out, name);
                out.push(':');
                write(out, item)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn write_text(out: &mut String, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    out.push('"');
    let mut clean = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(text.get(clean..at).unwrap_or_default());
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            other => out.push_str(&format!("\\u{other:04x}")),
        }
        clean = at + 1;
    }
    out.push_str(text.get(clean..).unwrap_or_default());
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_alike() {
        for text in [
            r#"{"b":1,"a":[true,null,"x\n\"\\\u0001é"],"n":1.10}"#,
            "12345678901234567890123",
            "-0.5",
            r#""""#,
            "[]",
            "{}",
        ] {
            assert_eq!(to_json(&from_json(text).unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn numbers_come_out_as_other_readers_expect_them() {
        for (number, text) in
            [(5.0, "5"), (-0.0, "0"), (-3.0, "-3"), (0.1, "0.1"), (f64::NAN, "null"), (f64::INFINITY, "null")]
        {
            assert_eq!(to_json(&Val::from(number)).unwrap(), text);
        }
    }

    #[test]
    fn what_is_no_json_is_said() {
        assert!(to_json(&Val::byte_str(vec![1])).unwrap_err().contains("@base64"));
        let odd = Val::obj([(Val::from(1isize), Val::Null)].into_iter().collect());
        assert!(to_json(&odd).unwrap_err().contains("keys are texts"));
        assert!(from_json("{").is_err() && from_json("1 2").is_err());
    }
}
