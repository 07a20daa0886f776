//! Where a request knocks: `/hooks/{tenant}/{connection}/{rest…}`,
//! `/run/{tenant}/{workflow}` or `/events/{tenant}/{run}/{event}/{secret}`.
//!
//! The raw path is what counts. A name has one spelling, so `%61cme` is not
//! `acme`; `rest` goes on as it came, and stays free of ambiguity.

/// Where a request knocks. Unknown names are routing's to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address<'a> {
    /// An inbound endpoint.
    Hook {
        /// The tenant.
        tenant: &'a str,
        /// The tenant's connection.
        connection: &'a str,
        /// What follows, without its leading slash.
        rest: &'a str,
    },
    /// A workflow.
    Run {
        /// The tenant.
        tenant: &'a str,
        /// The tenant's workflow.
        workflow: &'a str,
    },
    /// An event that a run waits for.
    Event {
        /// The tenant.
        tenant: &'a str,
        /// The tenant's run.
        run: &'a str,
        /// The event's name within the run.
        event: &'a str,
        /// What whoever may send it was told.
        secret: &'a str,
    },
}

impl<'a> Address<'a> {
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        if let Some(path) = path.strip_prefix("/hooks/") {
            let (tenant, path) = path.split_once('/')?;
            let (connection, rest) = path.split_once('/').unwrap_or((path, ""));
            return (!tenant.is_empty() && !connection.is_empty()).then_some(Self::Hook {
                tenant,
                connection,
                rest,
            });
        }
        if let Some(path) = path.strip_prefix("/events/") {
            let mut parts = path.split('/').filter(|part| !part.is_empty());
            let event = Self::Event {
                tenant: parts.next()?,
                run: parts.next()?,
                event: parts.next()?,
                secret: parts.next()?,
            };
            // Four parts, and no slash but between them.
            return (path.matches('/').count() == 3).then_some(event);
        }
        let (tenant, workflow) = path.strip_prefix("/run/")?.split_once('/')?;
        (!tenant.is_empty() && !workflow.is_empty() && !workflow.contains('/'))
            .then_some(Self::Run { tenant, workflow })
    }
}

/// Whether every `%` is followed by two hex digits, and the bytes so written
/// are UTF-8. Checked here once, so that no guest has to guess.
pub(crate) fn is_decodable(path: &str) -> bool {
    if !path.contains('%') {
        return true;
    }
    let mut bytes = path.bytes();
    let mut decoded = Vec::with_capacity(path.len());
    let hex = |digit: Option<u8>| digit.and_then(|digit| char::from(digit).to_digit(16));
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        match (hex(bytes.next()), hex(bytes.next())) {
            (Some(high), Some(low)) => decoded.push((high << 4 | low) as u8),
            _ => return false,
        }
    }
    String::from_utf8(decoded).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_apart_at_its_slashes_and_nowhere_else() {
        let hook = |tenant, connection, rest| Some(Address::Hook { tenant, connection, rest });
        assert_eq!(Address::of("/hooks/acme/form"), hook("acme", "form", ""));
        assert_eq!(Address::of("/hooks/acme/form/"), hook("acme", "form", ""));
        assert_eq!(Address::of("/hooks/acme/form/a%2Fb//c"), hook("acme", "form", "a%2Fb//c"));
        assert_eq!(Address::of("/hooks/acme"), None);
        let run = Some(Address::Run { tenant: "acme", workflow: "intake" });
        assert_eq!(Address::of("/run/acme/intake"), run);
        for nobodys in
            ["/hooks//form", "/hooks/acme/", "/run/acme", "/run/acme/", "/run//intake", "/run/acme/intake/"]
        {
            assert_eq!(Address::of(nobodys), None, "{nobodys}");
        }
        assert_eq!(Address::of("/api/v1/runs"), None);
        let event = Some(Address::Event { tenant: "acme", run: "run_1", event: "approved", secret: "3-ab" });
        assert_eq!(Address::of("/events/acme/run_1/approved/3-ab"), event);
        for nobodys in [
            "/events/acme/run_1/approved",
            "/events/acme/run_1/approved/",
            "/events/acme//a/b",
            "/events/acme/run_1/a/b/c",
            "/events/acme/run_1/a/b/",
            "/events//a/b/c/d",
        ] {
            assert_eq!(Address::of(nobodys), None, "{nobodys}");
        }
    }

    #[test]
    fn a_broken_percent_encoding_is_seen() {
        for good in ["/a", "/a%20b", "/%C3%A4", "/%2e%2E/"] {
            assert!(is_decodable(good), "{good}");
        }
        for bad in ["/%", "/%2", "/%zz", "/a%ff", "/%C3", "/%+1"] {
            assert!(!is_decodable(bad), "{bad}");
        }
    }
}
