//! Whether a text can be an e-mail address. Only sending a mail would prove it.

/// The longest address that SMTP carries (RFC 5321, 4.5.3.1.3 less the brackets).
const MAX: usize = 254;

/// One `@`, something before it, a domain with a dot after it, nothing odd anywhere.
pub(crate) fn is_plausible(text: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"".contains(c);
    match text.split_once('@') {
        Some((local, domain)) => {
            text.len() <= MAX
                && !text.contains(odd)
                && !local.is_empty()
                && !domain.contains('@')
                && domain.contains('.')
                && domain.split('.').all(|label| !label.is_empty())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_plausible;

    #[test]
    fn addresses_are_told_from_other_texts() {
        for good in ["a@b.de", "ada.l+x@mail.analytical.example", "ü@ü.example"] {
            assert!(is_plausible(good), "{good}");
        }
        for bad in
            ["", "a", "@b.de", "a@", "a@b", "a@b.", "a@.de", "a@b..de", "a b@c.de", "a@b@c.de", "<a@b.de>"]
        {
            assert!(!is_plausible(bad), "{bad}");
        }
        assert!(!is_plausible(&format!("{}@b.de", "a".repeat(250))));
    }
}
