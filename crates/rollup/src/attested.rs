//! What validators attest of what this node executed: taken if it is the same, and evidence if it is not.
//!
//! Truth is execution: a root that this node does not find is never adopted. It says so, writes down what it found and what
//! is attested, and follows the domain no further, also not when it is started again.

use crate::{
    published::Shared,
    store::{Store, StoreError, Taken},
};
use chorale_client::AttestationFollower;
use chorale_types::{Attestation, Digest, DomainId, ExecutedHeight, Height, codec::Encode};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};
use tracing::{debug, error};

/// The file in the data folder that says that this node and the validators disagree.
const EVIDENCE_FILE: &str = "disagreement.json";

/// Why this node takes no more attestations.
#[derive(Debug, thiserror::Error)]
pub enum Disagreement {
    /// Something else is attested than this node found.
    #[error(
        "domain {domain} at height {height}: this node found {}, and validators with more than two thirds of the domain's \
         stake attested {attested}. One of them is wrong, and this node does not go on. What both say is in {evidence}: \
         keep it, and the data folder, before you know which; other nodes of the domain, with another version of this \
         program, can tell", ours.map_or_else(|| "no content".to_owned(), |ours| format!("the outcome {ours}"))
    )]
    Found {
        /// The domain.
        domain: DomainId,
        /// The height.
        height: Height,
        /// The root that this node found; none if it found no content there.
        ours: Option<Digest>,
        /// The root that is attested.
        attested: Digest,
        /// Where it is written down.
        evidence: PathBuf,
    },
    /// It was found before.
    #[error(
        "{0} says that this node and the validators disagreed about what was executed: it does not go on. When you know that \
         this node was wrong, begin anew in another data folder; when you know that it was right, follow other validators"
    )]
    Before(PathBuf),
    /// The evidence cannot be written or looked for.
    #[error("{path}: {error}")]
    Evidence {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Refuses a data folder in which a disagreement is written down.
///
/// # Errors
///
/// It is.
pub(crate) fn check(data: &Path) -> Result<(), Disagreement> {
    let path = data.join(EVIDENCE_FILE);
    match path.try_exists() {
        Ok(false) => Ok(()),
        Ok(true) => Err(Disagreement::Before(path)),
        Err(error) => Err(Disagreement::Evidence { path, error }),
    }
}

/// Takes attestations until one disagrees.
pub(crate) async fn watch(
    mut follower: AttestationFollower,
    data: PathBuf,
    store: Arc<Store>,
    shared: Arc<Shared>,
) -> Disagreement {
    let mut height = shared.height();
    loop {
        let attestations = follower.next().await;
        let Some(last) = attestations.last() else { continue };
        // Attested elsewhere before it is executed here. Of a height without content that is never noticed before the next
        // one with content: until then nothing of it is taken.
        if height.wait_for(|height| *height >= last.height).await.is_err() {
            std::future::pending::<()>().await;
        }
        let (store, data) = (Arc::clone(&store), data.clone());
        let taken = tokio::task::spawn_blocking(move || take(&store, &data, &attestations)).await;
        match taken {
            Ok(Ok(Some(executed))) => {
                debug!(height = %executed.outcome.height, "executed and attested");
                shared.finalize(&executed);
            }
            Ok(Ok(None)) => {}
            Ok(Err(disagreement)) => {
                error!(%disagreement, "stopping");
                return disagreement;
            }
            // The process is ending.
            Err(_) => std::future::pending::<()>().await,
        }
    }
}

/// Takes attestations of heights that are all executed; returns what the last one is of.
pub(crate) fn take(
    store: &Store,
    data: &Path,
    attestations: &[Attestation],
) -> Result<Option<ExecutedHeight>, Disagreement> {
    match store.take_attested(attestations)? {
        Taken::Agreed(last) => Ok(last.map(|last| *last)),
        Taken::Disagreed(both) => Err(disagree(data, both.0.as_ref(), &both.1)),
    }
}

fn disagree(data: &Path, ours: Option<&ExecutedHeight>, attestation: &Attestation) -> Disagreement {
    let path = data.join(EVIDENCE_FILE);
    let write = || -> io::Result<()> {
        let partial = path.with_extension("partial");
        let mut file = File::create(&partial)?;
        file.write_all(serde_json::to_string_pretty(&evidence(ours, attestation))?.as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, &path)?;
        File::open(data)?.sync_all()
    };
    if let Err(error) = write() {
        return Disagreement::Evidence { path, error };
    }
    let ours = ours.map(|ours| ours.outcome.root());
    let Attestation { domain, height, root, .. } = attestation;
    Disagreement::Found { domain: *domain, height: *height, ours, attested: *root, evidence: path }
}

/// All that both sides say, for people and in the canonical encoding.
fn evidence(ours: Option<&ExecutedHeight>, attestation: &Attestation) -> Value {
    let encoded = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    let found = ours.map(|ours| {
        let heads = ours.heads.iter().map(|head| {
            let (rollup, number) = (head.rollup.0, head.number);
            json!({ "rollup": rollup, "number": number, "block": head.block.to_string(), "stateRoot": head.state.to_string() })
        });
        let bundles = ours.bundles.iter();
        let bundles = bundles.map(|bundle| json!({ "id": bundle.id.to_string(), "effect": format!("{:?}", bundle.effect) }));
        json!({
            "root": ours.outcome.root().to_string(),
            "order": ours.outcome.order.to_string(),
            "previous": ours.outcome.previous.0,
            "rollups": heads.collect::<Vec<Value>>(),
            "bundles": bundles.collect::<Vec<Value>>(),
            "encoded": encoded(&ours.encode()),
        })
    });
    json!({
        "domain": attestation.domain.0,
        "height": attestation.height.0,
        "version": env!("CARGO_PKG_VERSION"),
        "found": found,
        "attested": {
            "root": attestation.root.to_string(),
            "epoch": attestation.epoch.0,
            "signers": attestation.signers.iter().map(|index| index.0).collect::<Vec<u16>>(),
            "encoded": encoded(&attestation.encode()),
        },
    })
}
