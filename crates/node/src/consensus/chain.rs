//! Where the chain stands on disk when the node starts.

use super::{Config, EpochSource, Stopped};
use crate::{
    ports::{ChainHandle, Epochs, Position},
    runtime::Context,
    store::{Farewells, HeaderStore, Recovered, SafetyStore, is_damage},
    watch,
};
use chorale_hotstuff::Record;
use chorale_types::{BlockReference, EpochInfo, Height, Message, ValidatorIndex, View};
use std::sync::Arc;
use tokio::sync::broadcast;
use tracing::{error, info, warn};

/// Hints kept for a subscriber that is slow.
const EVENTS_MAX: usize = 4_096;

/// The stores of consensus, open, and the ports by which others follow it.
pub struct Chain<E: Context> {
    pub(super) config: Config,
    pub(super) safety: SafetyStore<E>,
    pub(super) recovered: Recovered,
    pub(super) headers: HeaderStore<E>,
    pub(super) farewells: Farewells<E>,
    pub(super) epoch: Arc<EpochInfo>,
    pub(super) index: Option<ValidatorIndex>,
    /// The last block whose header is stored, or the epoch's start.
    pub(super) block: BlockReference,
    pub(super) may_sign: bool,
    pub(super) epochs: EpochSource,
    pub(super) committed: watch::Sender<Height>,
    pub(super) position: watch::Sender<Position>,
    pub(super) handle: ChainHandle,
}

impl<E: Context> Chain<E> {
    /// Opens the safety record and the headers and finds the epoch that they end in.
    ///
    /// # Errors
    ///
    /// The disk's, or damage.
    pub async fn open(context: E, config: Config, first: EpochInfo, epochs: EpochSource) -> Result<Self, Stopped> {
        let safety = SafetyStore::open(context.child("safety"), &format!("{}-safety", config.partition)).await?;
        let (mut safety, mut recovered) = safety;
        let mut farewells =
            Farewells::open(context.child("farewells"), &format!("{}-farewells", config.partition)).await?;
        let Resumed { headers, epoch, block, known } =
            open_headers(&context, &config.partition, &mut farewells, first, &epochs).await?;
        let index = epoch.validators.index_of(&config.me).filter(|_| config.signs);
        let may_sign = may_sign(&config, &recovered, headers.tip());
        if may_sign && recovered.record.is_none() {
            // From now on a missing record means that it was lost, also if the node stops before it signs anything.
            let record = Record::start(&epoch, block);
            safety.record(record.clone()).await?;
            safety.sync().await?;
            recovered.record = Some(record);
        }
        info!(epoch = %epoch.epoch, height = %block.height, ?index, may_sign, "the chain resumes");
        let view = recovered.record.as_ref().filter(|record| record.epoch == epoch.epoch).map_or(View(1), |it| it.view);
        let (committed, committed_port) = watch::channel(headers.tip());
        let (position, position_port) = watch::channel(Position { epoch: epoch.clone(), view, index });
        let handle = ChainHandle {
            events: broadcast::Sender::new(EVENTS_MAX),
            committed: committed_port,
            position: position_port,
            headers: headers.headers(),
            epochs: known,
        };
        Ok(Self {
            config,
            safety,
            recovered,
            headers,
            farewells,
            epoch,
            index,
            block,
            may_sign,
            epochs,
            committed,
            position,
            handle,
        })
    }

    /// By which others follow the chain.
    #[must_use]
    pub fn handle(&self) -> ChainHandle {
        self.handle.clone()
    }
}

/// The stored headers, and where they end.
struct Resumed<E: Context> {
    headers: HeaderStore<E>,
    /// The epoch after them.
    epoch: Arc<EpochInfo>,
    /// The last block, or the epoch's start.
    block: BlockReference,
    known: Epochs,
}

/// Opens the headers and finds the epoch that they end in. Damaged ones are removed: all of them can be fetched again,
/// and each is checked against certificates when it comes.
async fn open_headers<E: Context>(
    context: &E,
    partition: &str,
    farewells: &mut Farewells<E>,
    first: EpochInfo,
    epochs: &EpochSource,
) -> Result<Resumed<E>, Stopped> {
    let partition = format!("{partition}-headers");
    let resumed = match HeaderStore::open(context.child("headers"), &partition).await {
        Ok(headers) => resume(headers, farewells, first.clone(), epochs).await,
        Err(failure) => Err(failure.into()),
    };
    let why = match resumed {
        Err(Stopped::Storage(failure)) if is_damage(&failure) => failure.to_string(),
        Err(Stopped::MissingHeader(height)) => format!("the header of height {height} cannot be read"),
        other => return other,
    };
    error!(partition, why, "the committed headers are damaged: they are removed, and fetched again from others");
    HeaderStore::remove(context, &partition).await?;
    let headers = HeaderStore::open(context.child("new_headers"), &partition).await?;
    resume(headers, farewells, first, epochs).await
}

async fn resume<E: Context>(
    headers: HeaderStore<E>,
    farewells: &mut Farewells<E>,
    first: EpochInfo,
    epochs: &EpochSource,
) -> Result<Resumed<E>, Stopped> {
    let known = Epochs::default();
    let tip = headers.tip();
    let mut epoch = Arc::new(first);
    known.insert(epoch.clone());
    while epoch.closing <= tip {
        let closing = stored(&headers, epoch.closing).await?;
        farewells.keep(epoch.epoch, proof_of(&headers, epoch.closing).await).await?;
        let start = EpochInfo::start_block(closing.height, closing.id);
        let next = epoch.epoch.next();
        epoch = Arc::new(epochs(next, start).ok_or(Stopped::NoEpoch(next))?);
        known.insert(epoch.clone());
    }
    let block = if tip > epoch.start.height { stored(&headers, tip).await? } else { epoch.start };
    Ok(Resumed { headers, epoch, block, known })
}

/// What shows a height to be committed, as far as it is stored beside the header.
pub(super) async fn proof_of<E: Context>(headers: &HeaderStore<E>, height: Height) -> Vec<Message> {
    let committed = headers.headers().get(height).await;
    committed.and_then(|committed| committed.proof).map(Message::Commit).into_iter().collect()
}

async fn stored<E: Context>(headers: &HeaderStore<E>, height: Height) -> Result<BlockReference, Stopped> {
    let committed = headers.headers().get(height).await.ok_or(Stopped::MissingHeader(height))?;
    Ok(committed.header.reference())
}

/// A node that has lost what it promised must not sign before the next epoch: it follows.
fn may_sign(config: &Config, recovered: &Recovered, tip: Height) -> bool {
    let is_new = config.is_new && tip == Height(0) && !recovered.is_damaged;
    let may = recovered.record.is_some() || is_new;
    if !may && config.signs {
        warn!(
            "no safety record, and this node is not new: it follows, and signs again in the first epoch that begins from now on"
        );
    }
    may
}
