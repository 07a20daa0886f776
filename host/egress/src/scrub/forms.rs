//! The forms in which an upstream may echo a credential: as it is, in base64
//! at any place of a longer text, in hex, percent-encoded, and escaped as in
//! JSON and HTML.

use std::collections::BTreeSet;
use std::fmt::Write;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};
use host_model::digest::Digest;
use secrecy::zeroize::Zeroize;

use super::Matcher;

/// Secrets shorter than this are not scrubbed: they occur in texts by chance,
/// and stars there would tell the guest what the secret is.
const MIN_SCRUBBED: usize = 6;

/// What a matcher looks for. Wiped when dropped.
#[derive(Default)]
pub(crate) struct Needles(BTreeSet<Vec<u8>>);

impl Needles {
    /// Adds every form of a secret.
    pub(crate) fn add_secret(&mut self, secret: &str) {
        if secret.len() < MIN_SCRUBBED {
            return;
        }
        self.0.insert(secret.as_bytes().to_vec());
        self.add_base64(secret.as_bytes());
        self.0.insert(hex::encode(secret).into_bytes());
        self.0.insert(hex::encode_upper(secret).into_bytes());
        // What stays as it is depends on the encoder. None encodes every byte, so somebody who did hides it.
        for kept in ["-._~", "-._~!'()*", "-._~;,/?:@&=+$!'()*#", "-._~/", ""] {
            for upper in [true, false] {
                self.0.insert(percent(secret, |char| is_kept(char, kept), upper, false));
            }
        }
        for upper in [true, false] {
            self.0.insert(percent(secret, |_| false, upper, false));
        }
        // A form's encoder keeps `*` and not `~`.
        self.0.insert(percent(secret, |char| is_kept(char, "-._*"), true, true));
        for (slash, ascii, html) in [
            (false, false, false),
            (true, false, false),
            (false, true, false),
            (true, true, false),
            (false, false, true),
        ] {
            self.0.insert(json(secret, slash, ascii, html));
        }
        for (double, single) in [("&quot;", "&#39;"), ("&#34;", "&#39;"), ("&quot;", "&#x27;"), ("\"", "'")] {
            let escaped = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            self.0.insert(escaped.replace('"', double).replace('\'', single).into_bytes());
        }
    }

    /// Adds a text that carries a secret, as it is; stars for the whole of it.
    pub(crate) fn add_text(&mut self, text: &str) {
        if text.len() >= MIN_SCRUBBED {
            self.0.insert(text.as_bytes().to_vec());
        }
    }

    /// Tells needles apart without keeping them.
    pub(crate) fn digest(&self) -> Digest {
        let mut all =
            self.0.iter().flat_map(|needle| [needle.as_slice(), &[0]].concat()).collect::<Vec<u8>>();
        let digest = Digest::of(&all);
        all.zeroize();
        digest
    }

    /// A matcher for them; `None` if there are none.
    pub(crate) fn matcher(&self) -> Option<Matcher> {
        (!self.0.is_empty()).then(|| Matcher::new(self.0.iter().map(Vec::as_slice)))
    }

    /// Base64 writes three bytes as four characters, so a secret within a
    /// longer text has three spellings. Characters at its edges that mix in
    /// bits of its neighbours are left out; they tell four bits at most.
    fn add_base64(&mut self, secret: &[u8]) {
        for alphabet in [STANDARD, URL_SAFE] {
            let engine = GeneralPurpose::new(&alphabet, NO_PAD);
            self.0.insert(engine.encode(secret).into_bytes());
            for (before, mixed) in [(0, 0), (1, 2), (2, 3)] {
                let mut shifted = vec![0; before];
                shifted.extend_from_slice(secret);
                let text = engine.encode(&shifted).into_bytes();
                let end = text.len() - usize::from(shifted.len() % 3 != 0);
                self.0.extend(text.get(mixed..end).map(<[u8]>::to_vec));
                shifted.zeroize();
            }
        }
    }
}

impl Drop for Needles {
    fn drop(&mut self) {
        while let Some(mut needle) = self.0.pop_first() {
            needle.zeroize();
        }
    }
}

fn is_kept(char: char, besides: &str) -> bool {
    char.is_ascii_alphanumeric() || besides.contains(char)
}

fn percent(text: &str, keeps: impl Fn(char) -> bool, upper: bool, plus: bool) -> Vec<u8> {
    let mut out = String::new();
    for byte in text.bytes() {
        let char = char::from(byte);
        match () {
            () if keeps(char) => out.push(char),
            () if plus && char == ' ' => out.push('+'),
            () if upper => write!(out, "%{byte:02X}").unwrap_or_default(),
            () => write!(out, "%{byte:02x}").unwrap_or_default(),
        }
    }
    out.into_bytes()
}

fn json(text: &str, slash: bool, ascii: bool, html: bool) -> Vec<u8> {
    let mut out = String::new();
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '/' if slash => out.push_str("\\/"),
            '<' | '>' | '&' if html => write!(out, "\\u{:04x}", u32::from(char)).unwrap_or_default(),
            _ if char.is_ascii_control() || (ascii && !char.is_ascii()) => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").unwrap_or_default();
                }
            }
            _ => out.push(char),
        }
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};

    use super::*;

    const SECRET: &str = "s3cr3t/\"K&y\"+ü <=> ~*é";

    fn finds(text: impl AsRef<[u8]>) -> bool {
        let mut needles = Needles::default();
        needles.add_secret(SECRET);
        needles.matcher().unwrap().finds(text.as_ref())
    }

    #[test]
    fn a_secret_is_found_in_what_common_encoders_make_of_it() {
        assert!(finds(format!("key={SECRET}.")));
        assert!(finds(serde_json::json!({ "echo": SECRET }).to_string()));
        assert!(finds(form_urlencoded::byte_serialize(SECRET.as_bytes()).collect::<String>()));
        let strict =
            percent_encoding::utf8_percent_encode(SECRET, percent_encoding::NON_ALPHANUMERIC).to_string();
        assert!(finds(&strict) && finds(strict.replace("%7E", "~").replace("%2E", ".")));
        let every: String = SECRET.bytes().map(|byte| format!("%{byte:02x}")).collect();
        assert!(finds(&every) && finds(every.to_uppercase()));
        assert!(finds(url::Url::parse_with_params("http://a/", [("k", SECRET)]).unwrap().as_str()));
        // Python, PHP, Go.
        assert!(finds(r#"{"a": "s3cr3t/\"K&y\"+\u00fc <=> ~*\u00e9"}"#));
        assert!(finds(r#"{"a":"s3cr3t\/\"K&y\"+\u00fc <=> ~*\u00e9"}"#));
        assert!(finds(r#"{"a":"s3cr3t/\"K\u0026y\"+ü \u003c=\u003e ~*é"}"#));
        // encodeURIComponent, encodeURI.
        assert!(finds("s3cr3t%2F%22K%26y%22%2B%C3%BC%20%3C%3D%3E%20~*%C3%A9"));
        assert!(finds("s3cr3t/%22K&y%22+%C3%BC%20%3C=%3E%20~*%C3%A9"));
        assert!(finds("<b>s3cr3t/&quot;K&amp;y&quot;+ü &lt;=&gt; ~*é</b>"));
        assert!(finds(hex::encode(SECRET)) && finds(hex::encode_upper(SECRET)));
        assert!(!finds("s3cr3t") && !finds(""));
    }

    #[test]
    fn a_secret_is_found_in_base64_at_any_place() {
        for before in 0..7 {
            for after in 0..4 {
                let text = format!("{}{SECRET}{}", "u".repeat(before), "v".repeat(after));
                assert!(finds(BASE64_STANDARD.encode(&text)), "{before} before, {after} after");
                assert!(finds(BASE64_URL_SAFE.encode(&text)), "{before} before, {after} after");
                assert!(finds(BASE64_URL_SAFE_NO_PAD.encode(&text)), "{before} before, {after} after");
            }
        }
    }

    #[test]
    fn a_secret_that_occurs_by_chance_is_left_alone() {
        let mut needles = Needles::default();
        needles.add_secret("12345");
        assert!(needles.matcher().is_none());
        needles.add_secret("123456");
        assert!(needles.matcher().unwrap().finds(b"a123456b"));
    }
}
