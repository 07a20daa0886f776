//! A form of another make: JSON with words of its own; what it gives is a `lead@1`.

use probes::{CallError, Draft, Received, Value, at, json};

fn lead(form: &Value) -> Value {
    json!({
        "name": at(form, "who"), "email": at(form, "mail"), "region": at(form, "desk"),
        "message": at(form, "asks"), "source": "desk",
    })
}

probes::connector! {
    name: "desk-form",
    manifest: "gives = \"lead@1\"\n",
    go: |_| Err(CallError::NotFound("it only receives".to_owned())),
    hook: |request| {
        let form = probes::parse(&String::from_utf8_lossy(&request.body));
        let draft = Draft { kind: "lead".to_owned(), subject: None, data: lead(&form).to_string() };
        Ok(Received { messages: vec![draft], answer: None })
    },
}
