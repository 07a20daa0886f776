//! What may be typed. Names are parsed here, so that everything behind can
//! put them into a path as they are.

mod audit;
mod consent;
mod login;
mod packages;

use std::fmt;
use std::path::PathBuf;

use chrono::TimeDelta;
use clap::{Args, Subcommand, ValueEnum};
use host_model::clock::Timestamp;
use host_model::id::{RunId, TokenId};
use host_model::name::{
    ConnectionName, EndpointName, EventName, SecretName, TenantId, TopicName, WorkflowName,
};
use host_model::outcome::CallError;
use host_model::run::RunStatus;
use serde::Serialize;
use serde_json::{Value, json};

pub(crate) use self::audit::{Audit, Entries};
pub(crate) use self::consent::{Consent, Consents};
pub(crate) use self::login::Login;
pub(crate) use self::packages::Publish;

/// What every command takes.
#[derive(Args, Clone)]
pub struct Globals {
    /// The server [default: the profile's, else http://127.0.0.1:7070]
    #[arg(long, global = true, env = "WHARF_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// The API token [default: the profile's, if it is for that server]
    #[arg(long, global = true, env = "WHARF_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// The tenant [default: the profile's, else the token's own]
    #[arg(long, global = true, env = "WHARF_TENANT")]
    pub tenant: Option<TenantId>,
    /// A TOML file with `server`, `token` and `tenant` [default: ~/.config/wharf/profile.toml]
    #[arg(long, global = true, env = "WHARF_PROFILE", value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// Where the default profile is looked for. An argument, because only the
    /// parser of arguments reads the environment.
    #[arg(long, global = true, env = "HOME", hide = true)]
    pub home: Option<PathBuf>,
}

/// The token prints as stars.
impl fmt::Debug for Globals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "***");
        f.debug_struct("Globals")
            .field("server", &self.server)
            .field("token", &token)
            .field("tenant", &self.tenant)
            .field("profile", &self.profile)
            .field("json", &self.json)
            .field("home", &self.home)
            .finish()
    }
}

/// A command that talks to a server.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create or change what YAML files describe, all of it or nothing; again changes nothing
    Apply {
        /// A file of one or more documents; `-` is the standard input
        #[arg(short, long = "file", required = true, value_name = "FILE", num_args = 1..)]
        files: Vec<PathBuf>,
        /// Say what would happen and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Say everything that is wrong with YAML files, and change nothing
    Check {
        /// The files, checked together; `-` is the standard input
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Publish to topics
    #[command(subcommand)]
    Topics(Topics),
    /// List what there is of a kind, or show one of them as it was applied
    Get {
        /// The kind
        kind: Kind,
        /// One of them
        name: Option<String>,
    },
    /// Delete one thing
    Delete {
        /// Its kind
        kind: Kind,
        /// Its name
        name: String,
    },
    /// Call an outbound endpoint of a connection, or test the connection
    Call {
        /// The connection
        connection: ConnectionName,
        /// The endpoint
        #[arg(required_unless_present = "check")]
        endpoint: Option<EndpointName>,
        /// The input: JSON, `@file`, or `-` for the standard input
        #[arg(short, long, value_name = "JSON|@FILE|-")]
        data: Option<String>,
        /// Test the connection: reach the outside system, change nothing
        #[arg(long, conflicts_with_all = ["endpoint", "data"])]
        check: bool,
        /// Show also what the call used and what the connector logged
        #[arg(long)]
        report: bool,
    },
    /// What is done to a connection besides applying it
    #[command(subcommand)]
    Connection(Connections),
    /// Look at what a connection or a workflow would be allowed beyond what it is, and consent to it
    Consent(Consent),
    /// Start a run of a workflow and wait for its result
    Run {
        /// The workflow
        workflow: WorkflowName,
        /// The input: JSON, `@file`, or `-` for the standard input
        #[arg(short, long, value_name = "JSON|@FILE|-")]
        data: Option<String>,
        /// How long to wait for the result, which a server limits (to a minute by
        /// default); the run goes on after that
        #[arg(long, value_name = "SECONDS", default_value_t = 30, conflicts_with = "no_wait")]
        wait: u32,
        /// Do not wait: print the run's id as soon as it is durable
        #[arg(long = "async")]
        no_wait: bool,
        /// The same key starts the same run once, however often it is sent
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
    },
    /// Test a workflow, one step of it, or all from a step to the end; nothing goes out without --live
    Test(Test),
    /// Look at runs
    #[command(subcommand)]
    Runs(Runs),
    /// Show what the tenant used of its quotas, and when they reset
    Usage,
    /// Create, list and delete tenants (operator)
    #[command(subcommand)]
    Tenant(Tenant),
    /// Log in by a browser, and keep the token in the profile
    Login(Login),
    /// End that login: its token is refused from then on
    Logout,
    /// Create, list and delete API tokens
    #[command(subcommand)]
    Token(Token),
    /// Store, list and delete secrets, whose values never come back; rotate what seals them
    #[command(subcommand, alias = "secrets")]
    Secret(Secret),
    /// Who did what to what: search, export and verify the audit log
    #[command(subcommand)]
    Audit(Audit),
    /// Upload a package: a component with its manifest inside (operator)
    Publish(Publish),
    /// List the packages
    Packages,
}

/// Kinds that `get` and `delete` know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Who pays
    #[value(alias = "tenants")]
    Tenant,
    /// A connector set up
    #[value(alias = "connections")]
    Connection,
    /// What composes endpoints
    #[value(alias = "workflows")]
    Workflow,
    /// When to run one
    #[value(alias = "schedules")]
    Schedule,
    /// What the data of messages must look like
    #[value(alias = "schemas")]
    Schema,
}

/// Topics.
#[derive(Debug, Subcommand)]
pub enum Topics {
    /// Give one message to every workflow that subscribes; prints the runs, already durable
    Publish {
        /// The topic
        topic: TopicName,
        /// The message's data: JSON, `@file`, or `-` for the standard input
        #[arg(short, long, value_name = "JSON|@FILE|-")]
        data: Option<String>,
        /// The same key publishes once, however often it is sent
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
    },
}

/// What is done to a connection.
#[derive(Debug, Subcommand)]
pub enum Connections {
    /// Print the page where somebody authorizes the connection (OAuth 2)
    Authorize {
        /// The connection
        name: ConnectionName,
    },
}

/// Looking at runs.
#[derive(Debug, Subcommand)]
pub enum Runs {
    /// List runs, the newest first
    List {
        /// Which
        #[command(flatten)]
        matching: Box<Matching>,
        /// Only those after this one in the list
        #[arg(long, value_name = "RUN")]
        after: Option<RunId>,
        /// At most this many, and at most 100
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Show one run, step by step
    Show {
        /// The run
        id: RunId,
    },
    /// Send an event to a run that waits for it, or will: an approval
    Send {
        /// The run
        id: RunId,
        /// The event's name
        event: EventName,
        /// Its data, one JSON text; @file reads a file, - the standard input
        #[arg(long)]
        data: Option<String>,
    },
    /// Stop a run in good order, until it is resumed
    Pause(Reasoned),
    /// Let a paused run go on
    Resume(Reasoned),
    /// Stop a run and undo what it did, as its workflow says
    Cancel(Reasoned),
    /// End a run now and undo nothing
    Terminate(Reasoned),
    /// Make a new run of one that has ended, or of all that match
    Replay(Replay),
    /// List the runs that failed and that nobody has replayed or dismissed, the newest first
    DeadLetters {
        /// Which
        #[command(flatten)]
        which: WhichLetters,
        /// Only those after this one in the list
        #[arg(long, value_name = "RUN")]
        after: Option<RunId>,
        /// At most this many, and at most 100
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Take a run, or all that match, off the list of dead letters
    Dismiss(Dismiss),
}

/// Which dead letters.
#[derive(Args, Debug)]
pub struct WhichLetters {
    /// Only of this workflow
    #[arg(long)]
    pub workflow: Option<WorkflowName>,
    /// Only those that failed like this: permanent, retry, rate-limited, deadline, trapped, diverged, …
    #[arg(long)]
    pub kind: Option<String>,
}

/// A dismissal.
#[derive(Args, Debug)]
pub struct Dismiss {
    /// The run
    #[arg(required_unless_present = "all", conflicts_with_all = ["all", "WhichLetters"])]
    pub id: Option<RunId>,
    /// Every dead letter that matches
    #[arg(long)]
    pub all: bool,
    /// With --all: which
    #[command(flatten)]
    pub which: WhichLetters,
    /// Why, kept with the run
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub why: String,
}

/// Which runs: those that match all that is said.
#[derive(Args, Debug)]
pub struct Matching {
    /// Only of this workflow
    #[arg(long)]
    pub workflow: Option<WorkflowName>,
    /// Only those that stand there: accepted, waiting, paused, cancelling,
    /// succeeded, failed, diverged, cancelled or terminated
    #[arg(long, value_parser = status)]
    pub status: Option<RunStatus>,
    /// Only those accepted then or later: 2026-01-31T08:00:00Z, or so long ago: 90m, 12h, 7d
    #[arg(long, value_name = "TIME", value_parser = when)]
    pub since: Option<When>,
    /// Only those accepted before then
    #[arg(long, value_name = "TIME", value_parser = when)]
    pub until: Option<When>,
    /// Only those that failed like this: unauthorized, rate-limited, fuel, trapped, …
    #[arg(long, value_name = "KIND")]
    pub error: Option<String>,
    /// Only those that this connection started or that called it
    #[arg(long)]
    pub connection: Option<ConnectionName>,
    /// Only those that set this business key: customer:4711; up to four, each with its own --key
    #[arg(long = "key", value_name = "NAME:VALUE")]
    pub keys: Vec<String>,
}

/// A point in time, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At this instant.
    At(Timestamp),
    /// So long before now.
    Ago(TimeDelta),
}

fn when(word: &str) -> Result<When, String> {
    let ago = || {
        let unit: fn(i64) -> Option<TimeDelta> = match word.chars().last()? {
            's' => TimeDelta::try_seconds,
            'm' => TimeDelta::try_minutes,
            'h' => TimeDelta::try_hours,
            'd' => TimeDelta::try_days,
            _ => return None,
        };
        let number: u32 = word.get(..word.len() - 1)?.parse().ok()?;
        unit(number.into()).map(When::Ago)
    };
    let at = || word.parse().ok().map(When::At);
    ago().or_else(at).ok_or_else(|| "write 2026-01-31T08:00:00Z, or how long ago: 90m, 12h, 7d".to_owned())
}

/// So many seconds.
fn span(word: &str) -> Result<u64, String> {
    let span = || match when(word).ok()? {
        When::Ago(span) => u64::try_from(span.num_seconds()).ok(),
        When::At(_) => None,
    };
    span().ok_or_else(|| "write how long: 0s, 90m, 12h, 7d".to_owned())
}

/// A test of a workflow.
#[derive(Args, Debug)]
pub struct Test {
    /// The workflow
    pub workflow: WorkflowName,
    /// Only the step with this id
    #[arg(long, value_name = "ID")]
    pub step: Option<String>,
    /// That step and all that follows
    #[arg(long, requires = "step")]
    pub to_end: bool,
    /// A variable that earlier steps would have set; may be repeated
    #[arg(long, value_name = "NAME=JSON|@FILE", requires = "step", value_parser = pair)]
    pub given: Vec<(String, String)>,
    /// The message's data: JSON, `@file`, or `-` for the standard input [default: that of --run, or null]
    #[arg(short, long, value_name = "JSON|@FILE|-")]
    pub data: Option<String>,
    /// What is answered: crm.create-lead, event:approved, workflow:report or topic:leads; may be repeated
    #[arg(long, value_name = "NAME=JSON|@FILE", value_parser = pair, conflicts_with = "live")]
    pub answer: Vec<(String, String)>,
    /// An error that comes before the answer: a kind (retry, not-found, …) and a text, of
    /// rate-limited milliseconds; may be repeated, and the last stays where there is no answer
    #[arg(long, value_name = "NAME=KIND[:TEXT]", value_parser = failure, conflicts_with = "live")]
    pub error: Vec<(String, CallError)>,
    /// Use the recorded answers of this run where none is given
    #[arg(long, value_name = "RUN", conflicts_with = "live")]
    pub run: Option<RunId>,
    /// Against the real connections
    #[arg(long)]
    pub live: bool,
}

fn failure(text: &str) -> Result<(String, CallError), String> {
    let (name, error) = text.split_once('=').ok_or("write NAME=KIND or NAME=KIND:TEXT")?;
    let (kind, text) = error.split_once(':').unwrap_or((error, ""));
    let detail = match (kind, text) {
        ("rate-limited", "") => Value::Null,
        ("rate-limited", ms) => {
            ms.parse::<u64>().map_err(|_| format!("`{ms}` is no number of milliseconds"))?.into()
        }
        (_, text) => text.into(),
    };
    let error = serde_json::from_value(json!({ "error": kind, "detail": detail }));
    Ok((name.to_owned(), error.map_err(|error| error.to_string())?))
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=JSON or NAME=@FILE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A run, and why.
#[derive(Args, Debug)]
pub struct Reasoned {
    /// The run
    pub id: RunId,
    /// Why, kept with the run
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub why: String,
}

/// A replay.
#[derive(Args, Debug)]
pub struct Replay {
    /// The run
    #[arg(required_unless_present = "all", conflicts_with_all = ["all", "Matching"])]
    pub id: Option<RunId>,
    /// Every run that matches, newest first, but those that were replayed
    /// before; --status must say which end they came to
    #[arg(long, requires_all = ["status", "request"])]
    pub all: bool,
    /// With --all: which
    #[command(flatten)]
    pub matching: Box<Matching>,
    /// With --all: also those that were replayed before
    #[arg(long, requires = "all")]
    pub again: bool,
    /// With the same key each run is replayed once, however often this is typed
    #[arg(long, value_name = "KEY")]
    pub request: Option<String>,
    /// From its `start`, from the step that `failed` last, or from the step with this number
    #[arg(long, value_name = "start|failed|N", default_value = "failed", value_parser = from)]
    pub from: From,
    /// On the workflow as it is now, not on the version that the run is pinned to
    #[arg(long)]
    pub current: bool,
    /// Other data for the run's message: JSON, `@file`, or `-` for the standard input
    #[arg(long, value_name = "JSON|@FILE|-", conflicts_with = "all")]
    pub input: Option<String>,
    /// No outside effect: use what is recorded, stop at what is not
    #[arg(long)]
    pub dry_run: bool,
    /// Why, kept with both runs
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub why: String,
}

/// Where a replay begins to do things itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum From {
    /// `start` or `failed`.
    Word(String),
    /// At a step.
    Step(u32),
}

fn from(word: &str) -> Result<From, String> {
    match word {
        "start" | "failed" => Ok(From::Word(word.to_owned())),
        number => {
            number.parse().map(From::Step).map_err(|_| "write start, failed or a step's number".to_owned())
        }
    }
}

/// Tenants.
#[derive(Debug, Subcommand)]
pub enum Tenant {
    /// Create a tenant, or change the limits that are named
    Create {
        /// Its id, for ever
        name: TenantId,
        /// How many calls, and besides how many runs, may go on at once [default: the host's]
        #[arg(long)]
        concurrency: Option<std::num::NonZeroU32>,
    },
    /// List the tenants
    List,
    /// Delete a tenant that has nothing any more, and its tokens
    Delete {
        /// Which one
        name: TenantId,
    },
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything, in every tenant
    Operator,
    /// All that its tenant can do
    Admin,
    /// Set up and run: all but secrets, tokens and the audit log
    Developer,
    /// Look
    Viewer,
    /// A program: start the workflows and call the connections that are named
    Service,
}

/// Tokens.
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Create a token and print it, once: for `--tenant`, or for everything with `--role operator`
    Create {
        /// What it may do
        #[arg(long)]
        role: Role,
        /// With `--role service`: a workflow that it may start; may be repeated
        #[arg(long, value_name = "WORKFLOW")]
        workflow: Vec<WorkflowName>,
        /// With `--role service`: a connection that it may call; may be repeated
        #[arg(long, value_name = "CONNECTION")]
        connection: Vec<ConnectionName>,
        /// After how long it ends by itself: 90m, 12h, 7d [default: never]
        #[arg(long, value_name = "TIME", value_parser = span)]
        expires_in: Option<u64>,
        /// What it is for
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Give a token a new text and print it, once
    Rotate {
        /// Which one
        id: TokenId,
        /// How long the old text is good beside the new one: 24h, at most 30d; 0s ends it at once
        #[arg(long, value_name = "TIME", value_parser = span)]
        overlap: u64,
    },
    /// List the tokens, without their text
    List,
    /// Delete a token; it is refused from then on
    Delete {
        /// Which one
        id: TokenId,
    },
}

/// Secrets.
#[derive(Debug, Subcommand)]
pub enum Secret {
    /// Store a value: asked for without echo, or read from a pipe or a file
    Set {
        /// Its name
        name: SecretName,
        /// Read the value from this file (`-`: standard input), one newline at its end not counted
        #[arg(long, value_name = "FILE")]
        value_file: Option<PathBuf>,
    },
    /// List the names
    List,
    /// Delete one
    Delete {
        /// Which one
        name: SecretName,
    },
    /// Say which keys hold how many values (operator)
    Keys,
    /// Wrap every data key by a new master key, while the host runs; again finishes what was cut off (operator)
    RotateMaster,
    /// Seal every value by a fresh data key, of --tenant or of all tenants; again finishes what was cut off (operator)
    RotateData,
}

fn status(word: &str) -> Result<RunStatus, String> {
    let words = RunStatus::ALL.map(RunStatus::as_str).join(", ");
    RunStatus::ALL.into_iter().find(|status| status.as_str() == word).ok_or(format!("write one of {words}"))
}

#[test]
fn a_token_is_not_in_what_debugging_prints() {
    let globals = Globals {
        server: None,
        token: Some("wharf_hush".to_owned()),
        tenant: None,
        profile: None,
        json: false,
        home: None,
    };
    assert!(!format!("{globals:?}").contains("hush"));
}
