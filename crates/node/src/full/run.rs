//! A whole full node in production: tokio, sockets, disk.

use super::actor::{Actor, Connections, lead_on};
use crate::{
    attestation::Keeper,
    config::FullNodeConfig,
    evidence::Register,
    gateway::{self, Upstream},
    ports::{ChainHandle, Epochs, Position},
    run::{NodeError, STOP_TIMEOUT, read_genesis},
    settlement,
    store::{self, HeaderStore, PayloadStore},
    watch,
};
use chorale_client::Nodes;
use chorale_foundation::runtime::{Metrics as _, Runner as _, Spawner as _, Supervisor as _, tokio as runtime};
use chorale_light::Light;
use chorale_types::{Genesis, View};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::sync::{broadcast, mpsc};
use tracing::info;

/// How long a node that is followed may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Heights that wait for settlement.
const HEIGHTS_WAITING_MAX: usize = 4;
/// Events that a subscriber may be behind.
const EVENTS_MAX: usize = 1_024;

/// Runs a full node until `shutdown` completes. Blocks the thread.
///
/// # Errors
///
/// A configuration that cannot be used, or a reason that no node may go on after.
pub fn run(config: &FullNodeConfig, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), NodeError> {
    let genesis = read_genesis(&config.genesis)?;
    let settings = runtime::Config::default()
        .with_storage_directory(store::storage(&config.data)?)
        .with_worker_threads(config.worker_threads);
    let config = config.clone();
    runtime::Runner::new(settings).start(|context| async move {
        let ended = tokio::select! {
            () = shutdown => None,
            ended = follow(&context, &config, genesis) => Some(ended),
        };
        info!("stopping");
        let _ = context.stop(0, Some(STOP_TIMEOUT)).await;
        ended.unwrap_or(Ok(()))
    })
}

/// Runs all actors; returns when one of them ends.
async fn follow(context: &runtime::Context, config: &FullNodeConfig, genesis: Genesis) -> Result<(), NodeError> {
    let nodes = Nodes::new(config.follow.iter().cloned(), ANSWER_TIMEOUT)?;
    let retention_heights = genesis.parameters().retention_heights;
    let headers = HeaderStore::open(context.child("headers"), "headers").await.map_err(super::Stopped::from)?;
    let payloads = PayloadStore::open(context.child("kept"), "payloads").await.map_err(NodeError::Storage)?;
    let reader = payloads.reader();
    let settlement_config = settlement::Config::new(&genesis, "settlement");
    let (settlement_actor, settlement) =
        settlement::Actor::open(context.child("settlement"), settlement_config, reader.clone()).await?;
    let settled = settlement_actor.restart();
    let (keeper, attestation, verified) =
        Keeper::open(context.child("attestation"), "attestation", retention_heights, settled).await?;

    let settled_attestation = keeper.get(settled).await?;
    let epochs = Epochs::default();
    let first = genesis.first_epoch();
    epochs.insert(Arc::new(first.clone()));
    let mut light = Light::new(first, genesis.parameters().epoch_heights);
    for closing in keeper.closings().await?.iter().filter(|closing| closing.outcome.height <= settled) {
        let height = closing.outcome.height;
        let info =
            lead_on(&mut light, &genesis, closing).map_err(|error| super::Stopped::HandOver { height, error })?;
        epochs.insert(info);
    }

    let tip = headers.tip();
    let view = headers.headers().get(tip).await.map_or(View(0), |committed| committed.header.view);
    let (committed, committed_height) = watch::channel(tip);
    let position = Position { epoch: Arc::new(light.last().clone()), view, index: None };
    let (position, position_now) = watch::channel(position);
    let (events, _) = broadcast::channel(EVENTS_MAX);
    let chain = ChainHandle {
        events: events.clone(),
        committed: committed_height,
        position: position_now,
        headers: headers.headers(),
        epochs: epochs.clone(),
    };
    let (level, level_now) = watch::channel(false);
    let timeline = gateway::Timeline::default();
    let (seen, settled_now, attested) = (chain.clone(), settlement.settled(), attestation.attested());
    let recorded = timeline.clone();
    context.child("timeline").spawn(move |context| recorded.record(context, seen, settled_now, attested));
    let genesis = Arc::new(genesis);
    let backend = gateway::Backend {
        genesis: genesis.clone(),
        me: None,
        chain,
        pool: gateway::Pool::Upstream(Upstream::new(&nodes, config.rpc_limits())),
        payloads: reader,
        settlement: settlement.clone(),
        attestation,
        domains: Arc::default(),
        timeline,
        evidence: Register::default(),
        subscriptions: gateway::places_for_subscriptions(),
        level: Some(level_now),
    };
    let metrics = context.child("metrics");
    let _gateway = gateway::start(config.listen_rpc, config.rpc_limits(), backend, move || metrics.encode()).await?;

    let (revealed, revealed_heights) = mpsc::channel(HEIGHTS_WAITING_MAX);
    let connections = Connections {
        genesis,
        nodes,
        light,
        headers,
        payloads,
        retention_heights,
        settlement,
        revealed,
        verified,
        committed,
        position,
        events,
        epochs,
        level,
        settled,
        attested: settled_attestation,
    };
    let actor = Actor::new(context.child("follow"), connections);
    let settling = context
        .child("settlement")
        .spawn(move |_| settlement_actor.run(settlement::Connections { revealed: revealed_heights }));
    let keeping = context.child("attestation").spawn(move |_| keeper.run());
    let following = context.child("follow").spawn(move |_| actor.run());
    tokio::select! {
        ended = following => match ended { Ok(Err(stopped)) => Err(stopped.into()), _ => Err(NodeError::Ended("following")) },
        ended = settling => match ended { Ok(Err(stopped)) => Err(stopped.into()), _ => Err(NodeError::Ended("settlement")) },
        ended = keeping => match ended { Ok(Err(error)) => Err(error.into()), _ => Err(NodeError::Ended("attestation")) },
    }
}
