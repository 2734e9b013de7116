//! `doorward demo`: the whole path on a sample organization. A server on a store of its own on disk,
//! the sample applied and its questions asked over gRPC, the answers shown.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::config::{Access, Config, Storage};
use crate::server;
use crate::telemetry::Sampler;

use super::cases::{describe, difference, show};
use super::file::{CaseFile, Known, OrganizationFile};
use super::judge::Judge;
use super::remote::ServerArgs;
use super::{CliError, transfer};

const ORGANIZATION: &str = include_str!("../../deploy/sample/acme.yaml");
const DECISIONS: &str = include_str!("../../deploy/sample/decisions.yaml");

/// The arguments of `doorward demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Go on serving the sample, without credentials, until the process is stopped.
    #[arg(long)]
    serve: bool,
    /// Where to serve.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// A directory that goes when the demonstration does.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Shows the sample.
pub async fn demo(args: DemoArgs) -> Result<bool, CliError> {
    let scratch = Scratch(std::env::temp_dir().join(format!("doorward-demo-{}", std::process::id())));
    let config = Config {
        storage: Storage::Sled { data: scratch.0.clone(), watermark_bytes: 64 << 20 },
        access: Access::InsecureDev,
        listen: vec![args.listen],
        unix: None,
        address_file: None,
        workers: Some(1),
        drain_delay: Duration::ZERO,
        drain_timeout: Duration::from_secs(1),
    };
    let (ready, bound) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let ready = move |bound| drop(ready.send(bound));
    let stopped = async { drop(stopped.await) };
    let running = tokio::spawn(server::run(config, Sampler::off(), ready, stopped));
    let bound: Result<server::Bound, _> = bound.await;
    let address = bound.ok().and_then(|b| b.tcp.first().copied());
    let asked = match address {
        Some(address) => ask(address).await,
        None => Err(CliError::Usage("the server did not start".to_owned())),
    };
    if let (true, Ok(_), Some(address)) = (args.serve, &asked, address) {
        say!("\nserving on {address} without credentials; stop with Ctrl-C");
        let _ = tokio::signal::ctrl_c().await;
    }
    drop(stop);
    match running.await {
        Ok(Ok(())) => asked,
        Ok(Err(error)) => Err(CliError::Usage(super::remote::chain(&error))),
        Err(_) => Err(CliError::Usage("the server ended unexpectedly".to_owned())),
    }
}

async fn ask(address: SocketAddr) -> Result<bool, CliError> {
    let at = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port());
    let server = ServerArgs { server: Some(at.to_string()), token_file: None };
    let file = OrganizationFile::parse(ORGANIZATION, "deploy/sample/acme.yaml", Known::of)?;
    let applied = transfer::send(&server, &file, transfer::How::default()).await?;
    let revision = applied.revision.map_or(0, |r| r.number);
    say!("applied deploy/sample/acme.yaml over gRPC: {} rows, revision {revision}, durable\n", applied.created);
    let cases = CaseFile::parse(DECISIONS, "deploy/sample/decisions.yaml")?;
    let mut judge = Judge::new(&[], &server).await?;
    let mut fine = true;
    for case in &cases.cases {
        let given = judge.ask(cases.organization.as_str(), cases.now, &case.question).await?;
        say!("{}\n    {}\n    → {}", case.name, describe(case), show(&given));
        if let Some(difference) = difference(case, &given) {
            say!("{difference}");
            fine = false;
        }
    }
    Ok(fine)
}
