//! The tree of a workflow: what the reader makes, the checker walks, and a
//! run reads back from JSON.
//!
//! What a run's expressions see: `.` is the data of its message, everywhere;
//! `$message` the whole message; `$id` the output of a step, and what `set` set.
//! What a step that was passed over would have set is `null`: a run sets all
//! of [`Flow::names`] to it at its start. `for-each` gives each item a copy of
//! the variables, with `$item` and `$index`; what is set in it stays in it.
//! `parallel` keeps what its branches set. `$error` and `$url` are there in
//! `catch` and `notify` only.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::template::Template;

/// A workflow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// The file's name, for messages.
    #[serde(default)]
    pub file: String,
    /// The workflow's name, if the text says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it does, in order.
    pub steps: Vec<Step>,
    /// What the run answers at its end; `null` without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Template>,
    /// Variables that a test of one step brings along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<(String, serde_json::Value)>,
}

/// One step and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its line in the file, from 1.
    pub line: u32,
    /// Its column, from 1.
    pub column: u32,
    /// The variable that holds its output afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What it does.
    #[serde(rename = "do")]
    pub what: What,
}

impl Step {
    /// The variables that it sets itself.
    pub(crate) fn sets(&self) -> impl Iterator<Item = &str> {
        let vars = match &self.what {
            What::Set { vars, .. } => vars.as_slice(),
            _ => &[],
        };
        vars.iter().map(|(name, _)| name.as_str()).chain(self.id.as_deref())
    }
}

/// A call of a connection's endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The line and column of `connection.endpoint`.
    pub at: (u32, u32),
    /// The connection.
    pub connection: String,
    /// Its outbound endpoint.
    pub endpoint: String,
    /// What it is given.
    pub input: Template,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Calls an endpoint.
    Call {
        /// What is called.
        call: Call,
        /// What undoes it, should the run be cancelled.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undo: Option<Call>,
    },
    /// Makes a value.
    Map(Template),
    /// One of two ways.
    If {
        /// Which: all but `false` and `null` is true.
        when: Template,
        /// If so.
        then: Vec<Step>,
        /// If not.
        otherwise: Vec<Step>,
    },
    /// One of several ways, by a value's text.
    Switch {
        /// The value.
        on: Template,
        /// The ways.
        cases: Vec<(String, Vec<Step>)>,
        /// If none fits; nothing is done without it.
        otherwise: Vec<Step>,
    },
    /// The same for each item of a list.
    ForEach {
        /// The list.
        over: Template,
        /// How many items are worked on at once.
        at_once: u32,
        /// What is done for each, with `$item` and `$index`.
        steps: Vec<Step>,
        /// What each gives; the last step's output without it.
        gives: Option<Template>,
    },
    /// Several things at once.
    Parallel(Vec<(String, Vec<Step>)>),
    /// What to do if something fails.
    Try {
        /// What may fail.
        steps: Vec<Step>,
        /// The errors that are caught; all if empty.
        on: Vec<Kind>,
        /// What to do then, with `$error`.
        catch: Option<Vec<Step>>,
        /// What to do in any case, afterwards.
        finally: Vec<Step>,
    },
    /// Does it again if it fails.
    Retry {
        /// What may fail.
        steps: Vec<Step>,
        /// How often it is tried in all.
        times: u32,
        /// The pause before the second try; doubled before each further one.
        wait_ms: u64,
        /// The longest pause.
        at_most_ms: u64,
        /// The errors that are worth another try.
        on: Vec<Kind>,
    },
    /// Waits for a time.
    SleepFor(Template),
    /// Waits for an instant.
    SleepUntil(Template),
    /// Waits for an event from outside.
    WaitFor {
        /// Its name.
        event: Template,
        /// For how long.
        timeout: Option<Template>,
        /// What is done before waiting, with `$url`.
        notify: Vec<Step>,
        /// What is done if it does not come; it is the error `not-found` without it.
        on_timeout: Option<Vec<Step>>,
    },
    /// Runs another workflow.
    Workflow {
        /// Which.
        workflow: String,
        /// The data of its message.
        input: Template,
        /// Whether its end is waited for.
        wait: bool,
    },
    /// Tells all workflows that subscribe to a topic.
    Publish {
        /// The topic.
        topic: Template,
        /// What is told.
        data: Template,
    },
    /// Sets variables and business keys.
    Set {
        /// Variables.
        vars: Vec<(String, Template)>,
        /// Business keys.
        keys: Vec<(String, Template)>,
    },
    /// Answers the caller now.
    Reply(Template),
    /// Ends with an error.
    Fail {
        /// Its kind.
        kind: Kind,
        /// The author's words.
        message: Template,
    },
    /// Ends the run well, with an answer.
    Stop(Option<Template>),
}

/// Why a step failed: the cases of the contract's `call-error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The input is not what the endpoint takes.
    InvalidInput,
    /// The outside system refused our credential.
    Unauthorized,
    /// The thing named does not exist.
    NotFound,
    /// It clashes with what is there.
    Conflict,
    /// Too many requests.
    RateLimited,
    /// A passing failure.
    Retry,
    /// It will never succeed as asked.
    Permanent,
    /// Anything else.
    Other,
}

impl Kind {
    /// All of them, as they are written.
    pub const ALL: [(&'static str, Self); 8] = [
        ("invalid-input", Self::InvalidInput),
        ("unauthorized", Self::Unauthorized),
        ("not-found", Self::NotFound),
        ("conflict", Self::Conflict),
        ("rate-limited", Self::RateLimited),
        ("retry", Self::Retry),
        ("permanent", Self::Permanent),
        ("other", Self::Other),
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("other", |(name, _)| name)
    }
}

impl FromStr for Kind {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, kind)| *kind).ok_or(())
    }
}

/// What a run was given is not a workflow's tree.
#[derive(Debug, thiserror::Error)]
#[error("the definition is not a workflow's tree; apply the workflow again")]
pub struct BadDefinition(#[source] serde_json::Error);

impl Flow {
    /// What a run reads instead of the YAML.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() // a tree of texts, numbers and lists: it cannot fail
    }

    /// Reads back what [`Flow::to_json`] wrote.
    pub fn from_json(text: &str) -> Result<Self, BadDefinition> {
        serde_json::from_str(text).map_err(BadDefinition)
    }

    /// The step with this id, wherever it stands.
    pub fn step(&self, id: &str) -> Option<&Step> {
        find(&self.steps, id)
    }

    /// Only this step, with the variables that earlier ones would have set.
    pub fn only(&self, id: &str, given: Vec<(String, serde_json::Value)>) -> Option<Self> {
        let step = self.step(id)?.clone();
        let answer = Template::variable(id, step.line, step.column);
        Some(Self { steps: vec![step], answer: Some(answer), given, ..self.head() })
    }

    /// From this step of the outermost list to the end, with the variables
    /// that earlier ones would have set.
    pub fn from_step(&self, id: &str, given: Vec<(String, serde_json::Value)>) -> Option<Self> {
        let at = self.steps.iter().position(|step| step.id.as_deref() == Some(id))?;
        let steps = self.steps.iter().skip(at).cloned().collect();
        Some(Self { steps, answer: self.answer.clone(), given, ..self.head() })
    }

    /// The same workflow without anything to do.
    fn head(&self) -> Self {
        Self { file: self.file.clone(), name: self.name.clone(), ..Self::default() }
    }

    /// Where each variable is first set.
    pub(crate) fn places(&self) -> BTreeMap<&str, u32> {
        fn place<'a>(steps: &'a [Step], places: &mut BTreeMap<&'a str, u32>) {
            for step in steps {
                for name in step.sets() {
                    places.entry(name).or_insert(step.line);
                }
                step.what.blocks().into_iter().for_each(|block| place(block, places));
            }
        }
        let mut places = BTreeMap::new();
        place(&self.steps, &mut places);
        places
    }

    /// Every variable that its steps set, each once, in the order they stand.
    pub fn names(&self) -> Vec<&str> {
        names_in(&self.steps)
    }
}

/// Every variable that these steps set, each once, in the order they stand.
pub fn names_in(steps: &[Step]) -> Vec<&str> {
    let mut names = Vec::new();
    collect(steps, &mut names);
    names
}

fn collect<'a>(steps: &'a [Step], names: &mut Vec<&'a str>) {
    for step in steps {
        for name in step.sets() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        for block in step.what.blocks() {
            collect(block, names);
        }
    }
}

fn find<'a>(steps: &'a [Step], id: &str) -> Option<&'a Step> {
    steps.iter().find_map(|step| {
        if step.id.as_deref() == Some(id) {
            return Some(step);
        }
        step.what.blocks().into_iter().find_map(|block| find(block, id))
    })
}

impl What {
    /// The lists of steps inside, in the order they stand.
    pub fn blocks(&self) -> Vec<&[Step]> {
        match self {
            Self::If { then, otherwise, .. } => vec![then, otherwise],
            Self::Switch { cases, otherwise, .. } => {
                cases.iter().map(|(_, steps)| steps.as_slice()).chain([otherwise.as_slice()]).collect()
            }
            Self::ForEach { steps, .. } | Self::Retry { steps, .. } => vec![steps],
            Self::Parallel(branches) => branches.iter().map(|(_, steps)| steps.as_slice()).collect(),
            Self::Try { steps, catch, finally, .. } => {
                vec![steps, catch.as_deref().unwrap_or_default(), finally]
            }
            Self::WaitFor { notify, on_timeout, .. } => {
                vec![notify, on_timeout.as_deref().unwrap_or_default()]
            }
            _ => Vec::new(),
        }
    }
}
