//! The program `wharf`: a host, its doctor, its compiler, and the CLI.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use host_server::{Args, Command, Config, Drained, Server, examine};
use tokio::signal::unix::{SignalKind, signal};

/// A call allocates its store and its instances anew, blocks of several KB for
/// which glibc's allocator takes locks that all threads share.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let Args { globals, command } = Args::parse();
    match command {
        Command::Up { data, listen, config } => {
            log_to_stderr();
            up(Config::load(data, config.as_deref(), listen)?).await
        }
        Command::Doctor { data, config, backup, restore } => {
            examine(&data, config.as_deref(), backup.as_deref(), restore.as_deref()).await
        }
        Command::CompileComponent => Ok(ExitCode::from(host_sandbox::compile::child_main())),
        Command::Remote(command) => Ok(host_cli::run(command, globals).await),
    }
}

#[expect(clippy::print_stdout, reason = "whoever starts a host reads its address and first token there")]
async fn up(config: Config) -> anyhow::Result<ExitCode> {
    let (grace, data): (_, PathBuf) = (config.grace, config.data.clone());
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let server = Server::start(config).await?;
    if let Some(token) = server.operator_token() {
        println!("first start in `{}`; this is shown once, keep it", data.display());
        println!("operator token: {token}");
    }
    println!("{}", server.listening());

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("draining: nothing new is accepted, what goes on may take {} s", grace.as_secs());
    Ok(match server.drain(grace).await {
        Drained::Clean => ExitCode::SUCCESS,
        Drained::TimedOut => ExitCode::from(75), // EX_TEMPFAIL: calls were cut
    })
}

/// The log is for operators: stderr, `WHARF_LOG` says how much (`warn,host_runs=debug`).
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .with_env_var("WHARF_LOG")
        .from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}
