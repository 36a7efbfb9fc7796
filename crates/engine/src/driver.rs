//! Driving one client: again and again, until the node stops or there is an alarm.

use crate::{
    alarm::Alarm,
    handing::{Session, Stop},
};
use chorale_evm::Block;
use std::{convert::Infallible, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::watch;
use tracing::{error, info, warn};

/// The blocks of one rollup, from where the node keeps them.
pub trait Blocks: Send + Sync + 'static {
    /// A block, if it is kept. May wait for the disk.
    ///
    /// # Errors
    ///
    /// It cannot be read; in words.
    fn block(&self, number: u64) -> Result<Option<Block>, String>;
}

/// How far a rollup is: numbers of blocks that are kept for good, each at most the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    /// The last block.
    pub latest: u64,
    /// The last one of which the order is attested.
    pub safe: u64,
    /// The last one that nothing can take back.
    pub finalized: u64,
}

/// What a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of Ethereum: it executes the node's blocks.
    Ethereum,
    /// One of the OP stack: it makes its own blocks of the same transactions.
    OpStack,
}

/// A client that is to be driven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The rollup's chain id.
    pub rollup: u64,
    /// Where the client's Engine API is, over HTTP.
    pub url: String,
    /// The file with the secret that the client was started with.
    pub secret: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// The folder for alarms.
    pub alarms: PathBuf,
    /// How long is waited for what.
    pub pace: Pace,
}

/// How long is waited for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// For an answer: a client may need long for a block that is full.
    pub answer: Duration,
    /// Before the first try after something went wrong; then twice as long each time.
    pub retry: Duration,
    /// The longest pause between two tries.
    pub retry_max: Duration,
    /// Between two looks at a client while there is no block: it may have been started anew.
    pub look: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(60),
            retry: Duration::from_millis(250),
            retry_max: Duration::from_secs(15),
            look: Duration::from_secs(5),
        }
    }
}

/// How it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing was said yet.
    #[default]
    Connecting,
    /// The client's head is this block.
    Following(u64),
    /// Nothing can be handed over now, for this reason; it is tried again.
    Waiting(String),
    /// The client disagrees. Nothing is handed over any more. The evidence is in this file, if it could be written.
    Alarm(Option<PathBuf>),
}

/// Drives a client until the sender of `heads` is gone, or the client disagrees. Nothing that the client does or does not
/// makes it end otherwise, and nothing is queued: blocks are read when their turn comes.
pub async fn drive(
    config: Config,
    blocks: Arc<dyn Blocks>,
    mut heads: watch::Receiver<Heads>,
    state: watch::Sender<State>,
) {
    let mut pause = config.pace.retry;
    loop {
        let stopped = session(&config, &blocks, &mut heads, &state).await;
        // Some of it went well: what goes wrong now is something new.
        if matches!(*state.borrow(), State::Following(_)) {
            pause = config.pace.retry;
        }
        match stopped {
            Err(Stop::End) => return,
            Err(Stop::Alarm(alarm)) => return raise(&config, &alarm, &state),
            Err(Stop::Trouble(trouble)) => {
                let words = trouble.to_string();
                let changed = state.send_if_modified(|state| {
                    let now = State::Waiting(words.clone());
                    std::mem::replace(state, now.clone()) != now
                });
                if changed {
                    warn!(rollup = config.rollup, url = %config.url, "nothing is handed to the execution client: {words}");
                }
            }
            Ok(never) => match never {},
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = gone(&mut heads) => return,
        }
        pause = (pause * 2).min(config.pace.retry_max);
    }
}

/// From asking the client who it is, until something goes wrong.
async fn session(
    config: &Config,
    blocks: &Arc<dyn Blocks>,
    heads: &mut watch::Receiver<Heads>,
    state: &watch::Sender<State>,
) -> Result<Infallible, Stop> {
    let first = *heads.borrow();
    let mut session = Session::open(config, Arc::clone(blocks), first).await?;
    info!(rollup = config.rollup, url = %config.url, client = session.version(), "an execution client is driven");
    loop {
        let now = *heads.borrow_and_update();
        session.hand_over(now).await?;
        state.send_if_modified(|state| {
            let following = State::Following(now.latest);
            std::mem::replace(state, following.clone()) != following
        });
        tokio::select! {
            changed = heads.changed() => changed.map_err(|_| Stop::End)?,
            () = tokio::time::sleep(config.pace.look) => {}
        }
    }
}

/// Until the sender of heads is gone.
async fn gone(heads: &mut watch::Receiver<Heads>) {
    while heads.changed().await.is_ok() {}
}

fn raise(config: &Config, alarm: &Alarm, state: &watch::Sender<State>) {
    let written = alarm.write(&config.alarms);
    let evidence = match &written {
        Ok(path) => path.display().to_string(),
        Err(error) => format!("not on the disk: {error}"),
    };
    error!(
        rollup = alarm.rollup, number = alarm.number, hash = %alarm.hash, client = alarm.client, url = alarm.url, evidence,
        "ALARM: the execution client disagrees with this node: {}. Nothing is handed to it any more; this node goes on", alarm.reason
    );
    state.send_replace(State::Alarm(written.ok()));
}
