//! Compiling in a child process with its own limits on CPU, memory and time:
//! a component that is a bomb for the compiler costs its own upload only.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;

/// The argument that makes the host's program a compiler.
pub const SUBCOMMAND: &str = "compile-component";
/// A Python component takes 17 s on two cores; thrice that.
const MAX_CPU_SECONDS: u64 = 60;
/// The same on a busy machine.
const MAX_WALL: Duration = Duration::from_secs(120);
/// A Python component takes 1.2 GiB.
const MAX_ADDRESS_SPACE: u64 = 4 << 30;
/// The largest artefact: eight times the largest upload.
const MAX_ARTEFACT: u64 = 256 << 20;
/// The longest complaint that is kept.
const MAX_COMPLAINT: u64 = 4 << 10;
/// Compilers at once: each uses all cores.
const AT_ONCE: usize = 2;

/// Why a component could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The compiler could not be started or talked to.
    #[error("cannot run the compiler `{}`", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The component is not valid, or uses what this host does not offer.
    #[error("the component does not compile: {0}")]
    Refused(String),
    /// It took more than a component may: time, memory or room for the result.
    #[error("compiling took more than {} s of CPU, {} GiB of memory or {} MiB of code, and was stopped", MAX_CPU_SECONDS, MAX_ADDRESS_SPACE >> 30, MAX_ARTEFACT >> 20)]
    TooMuch,
}

/// Runs the compiler.
pub(crate) struct Compiler {
    program: PathBuf,
    places: Semaphore,
}

impl Compiler {
    pub(crate) fn new(program: PathBuf) -> Self {
        Self { program, places: Semaphore::new(AT_ONCE) }
    }

    /// Compiles a component to machine code for this host's engine.
    pub(crate) async fn compile(&self, component: Bytes) -> Result<Vec<u8>, CompileError> {
        let spawn = |source| CompileError::Spawn { program: self.program.clone(), source };
        let _place = self.places.acquire().await.map_err(|closed| spawn(std::io::Error::other(closed)))?;
        let mut child = Command::new(&self.program)
            .arg(SUBCOMMAND)
            .env_clear() // nothing of the host's environment reaches code that reads a stranger's bytes
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(spawn)?;
        let (Some(mut input), Some(output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(spawn(std::io::Error::other("no pipes")));
        };
        let mut code = Vec::new();
        let mut complaint = Vec::new();
        let talk = async {
            let feed = async {
                let fed = input.write_all(&component).await;
                drop(input); // end of input, or the child waits for more
                fed
            };
            let (_fed, read, heard) = tokio::join!(
                feed, // a compiler that died early closes its pipe: its status tells
                read_most(output, MAX_ARTEFACT + 1, &mut code),
                read_most(errors, MAX_COMPLAINT, &mut complaint),
            );
            read?;
            heard?;
            if code.len() as u64 > MAX_ARTEFACT {
                return Ok(None);
            }
            child.wait().await.map(Some)
        };
        match tokio::time::timeout(MAX_WALL, talk).await {
            Err(_) | Ok(Ok(None)) => Err(CompileError::TooMuch),
            Ok(Err(source)) => Err(spawn(source)),
            Ok(Ok(Some(status))) if status.success() => Ok(code),
            // No exit code: killed, by a limit or by abort on failed allocation.
            Ok(Ok(Some(status))) if status.code().is_none() => Err(CompileError::TooMuch),
            Ok(Ok(Some(_))) => {
                Err(CompileError::Refused(String::from_utf8_lossy(&complaint).trim().to_owned()))
            }
        }
    }
}

/// Reads so much and closes the pipe, so that a child with more to say is not
/// waited for until its time is up.
async fn read_most(pipe: impl AsyncRead + Unpin, most: u64, into: &mut Vec<u8>) -> std::io::Result<usize> {
    pipe.take(most).read_to_end(into).await
}

/// The child: reads a component, writes machine code, says what is wrong on
/// stderr. Gives the exit code: 0, or 1 for a component that is refused.
pub fn child_main() -> u8 {
    match compile_stdin() {
        Ok(()) => 0,
        Err(complaint) => {
            let _ = writeln!(std::io::stderr(), "{complaint}");
            1
        }
    }
}

fn compile_stdin() -> Result<(), String> {
    let limit = |value| Rlimit { current: Some(value), maximum: Some(value) };
    let limits = [
        (Resource::Cpu, MAX_CPU_SECONDS),
        (Resource::As, MAX_ADDRESS_SPACE),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
    ];
    for (resource, value) in limits {
        setrlimit(resource, limit(value)).map_err(|error| format!("cannot limit the compiler: {error}"))?;
    }
    let mut component = Vec::new();
    std::io::stdin()
        .read_to_end(&mut component)
        .map_err(|error| format!("cannot read the component: {error}"))?;
    let engine = crate::engine::make_compiler().map_err(|error| format!("{error:#}"))?;
    let code = engine.precompile_component(&component).map_err(|error| format!("{error:#}"))?;
    std::io::stdout().write_all(&code).map_err(|error| format!("cannot write the code: {error}"))
}
