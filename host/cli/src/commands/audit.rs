//! `wharf audit`: who did what to what, and whether that is still as it was written.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use host_model::clock::Timestamp;
use host_model::digest::Digest;
use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::Session;
use super::runs::{instant, now};
use crate::api::Answer;
use crate::args::{Audit, Entries, When};
use crate::error::{CommandError, Exit};
use crate::input;
use crate::table::{cut, table};

/// How the API calls what is the host's own.
const HOST: &str = "!";
/// The most characters of a detail in the table.
const DETAIL: usize = 60;

/// An entry, as far as the table has it.
#[derive(Deserialize)]
struct Entry {
    chain: String,
    at: Timestamp,
    by: Value,
    #[serde(default)]
    from: Option<String>,
    operation: String,
    kind: String,
    #[serde(default)]
    name: String,
    outcome: String,
    #[serde(default)]
    times: Option<u64>,
    #[serde(default)]
    detail: String,
}

/// Where a chain ends.
#[derive(Deserialize)]
struct Head {
    chain: String,
    seq: u64,
    digest: Digest,
    first: u64,
}

/// What was found of a chain.
#[derive(Deserialize)]
struct Verified {
    chain: String,
    entries: u64,
    #[serde(default)]
    broken: Option<Broken>,
}

#[derive(Deserialize)]
struct Broken {
    seq: u64,
    why: String,
}

pub(super) async fn run(session: &mut Session<'_>, command: Audit) -> Result<Exit, CommandError> {
    match command {
        Audit::List(which) => list(session, which).await,
        Audit::Export { since, host } => export(session, since, host).await,
        Audit::Head => head(session).await,
        Audit::Verify { heads } => verify(session, heads.as_deref()).await,
    }
}

/// Whose chains: of the tenant that was named, of the host, or all that the token may see.
fn whose(session: &Session<'_>, host: bool) -> Vec<(&'static str, String)> {
    let tenant = session.tenant.as_ref().map(ToString::to_string);
    let named = if host { Some(HOST.to_owned()) } else { tenant };
    named.map(|named| ("tenant", named)).into_iter().collect()
}

async fn list(session: &mut Session<'_>, which: Entries) -> Result<Exit, CommandError> {
    let Entries { since, until, actor, operation, kind, name, host, limit } = which;
    let (now, mut query) = (now(), whose(session, host));
    query.extend(since.map(|since| ("since", instant(since, now))));
    query.extend(until.map(|until| ("until", instant(until, now))));
    let words = [("actor", actor), ("operation", operation), ("kind", kind), ("name", name)];
    query.extend(words.into_iter().filter_map(|(key, word)| Some((key, word?))));
    let mut items: Vec<Value> = Vec::new();
    let mut after = None;
    // A page may be short and not the last: a search for what is rare looks at so many at a time.
    while items.len() < limit {
        let mut page = query.clone();
        page.push(("limit", (limit - items.len()).to_string()));
        page.extend(after.map(|after| ("after", after)));
        let Answer { body, next, .. } = session.api.ask(Method::GET, "api/v1/audit", &page).answer().await?;
        items.extend(session.api.read::<Vec<Value>>(&body)?);
        after = next;
        if after.is_none() {
            break;
        }
    }
    let body = Value::Array(items);
    let entries: Vec<Entry> = session.api.read(&body)?;
    session.show(&body, || {
        let rows: Vec<_> = entries.iter().map(row).collect();
        table(["at", "whose", "who", "from", "operation", "what", "outcome"], &rows)
    })
}

fn row(entry: &Entry) -> [String; 7] {
    let times = entry.times.map_or(String::new(), |times| format!(" {times} times"));
    let detail = match entry.detail.as_str() {
        "" => String::new(),
        detail => format!(" ({})", cut(detail, DETAIL)),
    };
    let what = format!("{} {}", entry.kind, entry.name);
    [
        entry.at.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
        entry.chain.clone(),
        who(&entry.by),
        entry.from.clone().unwrap_or_else(|| "-".to_owned()),
        entry.operation.clone(),
        format!("{}{detail}", what.trim_end()),
        format!("{}{times}", entry.outcome),
    ]
}

/// `ada (tok_…)`, `ada (oidc:…)`, `host`, `nobody`.
fn who(by: &Value) -> String {
    let Some((who, keys)) = (by.get("token").map(|token| (token, ["note", "id"])))
        .or_else(|| by.get("person").map(|person| (person, ["name", "subject"])))
    else {
        return by.as_str().unwrap_or("-").to_owned();
    };
    let [name, id] = keys.map(|key| who.get(key).and_then(Value::as_str).unwrap_or_default());
    match (name, id) {
        ("", id) => id.to_owned(),
        (note, id) => format!("{note} ({id})"),
    }
}

async fn export(session: &mut Session<'_>, since: Option<When>, host: bool) -> Result<Exit, CommandError> {
    let mut query = whose(session, host);
    query.extend(since.map(|since| ("since", instant(since, now()))));
    let ask = session.api.ask(Method::GET, "api/v1/audit/export", &query);
    let terminal = &mut *session.terminal;
    ask.lines(|line| {
        terminal.say(line)?;
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    Ok(Exit::Done)
}

async fn heads(session: &Session<'_>) -> Result<(Value, Vec<Head>), CommandError> {
    let ask = session.api.ask(Method::GET, "api/v1/audit/heads", &whose(session, false));
    let body = ask.value().await?;
    let heads = session.api.read(&body)?;
    Ok((body, heads))
}

async fn head(session: &mut Session<'_>) -> Result<Exit, CommandError> {
    let (body, heads) = heads(session).await?;
    let line = |Head { chain, seq, digest, .. }: &Head| format!("{chain} {seq} {digest}");
    session.show(&body, || heads.iter().map(line).collect::<Vec<_>>().join("\n"))
}

async fn verify(session: &mut Session<'_>, kept: Option<&Path>) -> Result<Exit, CommandError> {
    let kept = kept.map(|path| input::bytes(path, session.terminal)).transpose()?;
    let ask = session.api.ask(Method::GET, "api/v1/audit/verify", &whose(session, false));
    let body = ask.value().await?;
    let verified: Vec<Verified> = session.api.read(&body)?;
    let mut sound = verified.iter().all(|chain| chain.broken.is_none());
    session.show(&body, || verified.iter().map(told).collect::<Vec<_>>().join("\n"))?;
    if let Some(kept) = kept {
        let (_, heads) = heads(session).await?;
        let heads: BTreeMap<_, _> = heads.iter().map(|head| (head.chain.as_str(), head)).collect();
        for line in String::from_utf8_lossy(&kept).lines().filter(|line| !line.trim().is_empty()) {
            if let Some(wrong) = compare(session, line, &heads).await? {
                session.terminal.warn(&wrong)?;
                sound = false;
            }
        }
    }
    Ok(if sound { Exit::Done } else { Exit::Failed })
}

fn told(Verified { chain, entries, broken }: &Verified) -> String {
    match broken {
        None => format!("{chain}: {entries} entries, as they were written"),
        Some(Broken { seq, why }) => format!("{chain}: broken at entry {seq}: {why}"),
    }
}

/// What is wrong with a chain whose head was once as this line says.
async fn compare(
    session: &Session<'_>,
    line: &str,
    heads: &BTreeMap<&str, &Head>,
) -> Result<Option<String>, CommandError> {
    let mut words = line.split_whitespace();
    let (chain, seq, digest) = (words.next(), words.next(), words.next());
    let seq = seq.and_then(|seq| seq.parse::<u64>().ok()).filter(|seq| *seq > 0);
    let digest = digest.and_then(|digest| digest.parse::<Digest>().ok());
    let (Some(chain), Some(seq), Some(digest)) = (chain, seq, digest) else {
        return Ok(Some(format!("`{line}` is not a line of `wharf audit head`")));
    };
    let Some(head) = heads.get(chain) else {
        return Ok(Some(format!("{chain}: the whole chain is gone, which had {seq} entries")));
    };
    if seq < head.first {
        return Ok(Some(format!(
            "{chain}: entry {seq} was removed by retention: it cannot be compared any more"
        )));
    }
    let query = [("tenant", chain.to_owned()), ("after", (seq - 1).to_string())];
    let mut found = None;
    let ask = session.api.ask(Method::GET, "api/v1/audit/export", &query);
    ask.lines(|line| {
        found = Some(Digest::of(line.as_bytes()));
        Ok(ControlFlow::Break(()))
    })
    .await?;
    Ok(match found {
        Some(found) if found == digest => None,
        Some(_) => Some(format!("{chain}: entry {seq} is not the one that was there")),
        None => Some(format!("{chain}: entry {seq} is gone, and all that came after it")),
    })
}
