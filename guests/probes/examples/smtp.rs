//! Sends the mail that it is told to: `{"server", "from", "to", "subject",
//! "text"?, "headers"?: {name: value}, "attach"?, "key"?}`. Gives `{"id"}` or `{"error"}`.

use probes::{Value, at, json};
use wharf_sdk::smtp::Message;

fn send(wish: &Value) -> Value {
    let text = |key: &str| at(wish, key).as_str().unwrap_or_default();
    let mut message = Message::new(text("from"), text("to"), text("subject")).bcc("archive@example.org");
    for (name, value) in at(wish, "headers").as_object().into_iter().flatten() {
        message = message.header(name.as_str(), value.as_str().unwrap_or_default());
    }
    if let Some(body) = at(wish, "text").as_str() {
        message = message.text(body).html(format!("<p>{body}</p>"));
    }
    if let Some(content) = at(wish, "attach").as_str() {
        message = message.attach("notes.txt", "text/plain", content);
    }
    if let Some(key) = at(wish, "key").as_str() {
        message = message.idempotency_key(key);
    }
    match message.send(text("server")) {
        Ok(id) => json!({ "id": id }),
        Err(error) => json!({ "error": format!("{error:?}") }),
    }
}

probes::connector! {
    name: "smtp",
    manifest: "[config.server]\nkind = \"url\"\n[config.user]\ndefault = \"wharf\"\n[credentials.password]\nplace = { basic-user = \"user\" }\nhosts = [\"{server}\"]\n[grants]\nsmtp = [\"{server}\"]\n",
    go: |request| Ok(send(&probes::parse(&request.input)).to_string()),
    hook: |_| Ok(probes::answer(200, String::new())),
}
