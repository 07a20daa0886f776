//! `transform` reads a JSON lead of 1 KB, renames its fields and answers with
//! it; no message. What `make bench` measures against `tests/bench/src/native.rs`.

use serde::{Deserialize, Serialize};
use wharf_sdk::{Answer, Error, Received, Request, connector};

#[derive(Deserialize)]
struct Lead {
    name: String,
    email: String,
    phone: String,
    company: String,
    region: String,
    message: String,
    source: String,
}

#[derive(Serialize)]
struct Contact {
    full_name: String,
    email_address: String,
    phone_number: String,
    organisation: String,
    territory: String,
    note: String,
    origin: String,
}

struct Transform;

#[connector(manifest = "examples/lead_transform.toml")]
impl Transform {
    #[inbound("transform")]
    fn transform(request: &Request) -> Result<Received, Error> {
        let lead: Lead = request.json()?;
        let contact = Contact {
            full_name: lead.name,
            email_address: lead.email,
            phone_number: lead.phone,
            organisation: lead.company,
            territory: lead.region,
            note: lead.message,
            origin: lead.source,
        };
        Ok(Received::answer(Answer::new(200).json(&contact)?))
    }
}
