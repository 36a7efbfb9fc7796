//! What ordered payloads opened to: the one copy of their content that a node keeps.

use super::Vault;
use crate::runtime::Context;
use chorale_dispersal::{Malformed, Opened};
use chorale_foundation::{BufMut, runtime::Handle, storage::archive::Error};
use chorale_types::{
    AvailabilityCertificate, Commitment, Digest, Height, Manifest,
    codec::{Blob, Buf, EncodeSize, Error as CodecError, Read, ReadExt, Write},
    codec_struct,
    limits::PAYLOAD_BYTES_MAX,
    tagged_hash,
};
use futures::{FutureExt as _, future::BoxFuture};
use std::sync::Arc;
use tokio::sync::RwLock;

/// Which payload: its commitment, and the manifest that its certificate names. A commitment may be certified with several
/// manifests; at most one of them is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadName {
    /// The commitment.
    pub commitment: Commitment,
    /// The digest of the manifest.
    pub manifest: Digest,
}
codec_struct!(PayloadName { commitment, manifest });

impl From<&AvailabilityCertificate> for PayloadName {
    fn from(certificate: &AvailabilityCertificate) -> Self {
        Self { commitment: certificate.commitment(), manifest: certificate.acknowledged.manifest }
    }
}

impl PayloadName {
    fn key(&self) -> Digest {
        tagged_hash("chorale/kept-payload/v1", &[&self.commitment.0.0, &self.manifest.0])
    }
}

/// A payload of a committed header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPayload {
    /// The manifest that its certificate names. Whether the content agrees with it is not checked here.
    pub manifest: Manifest,
    /// What it opened to.
    pub opened: Result<Opened, Malformed>,
}

impl Write for KeptPayload {
    fn write(&self, buf: &mut impl BufMut) {
        self.manifest.write(buf);
        match &self.opened {
            Ok(opened) => {
                buf.put_u8(0);
                buf.put_slice(&opened.key);
                blob(opened).write(buf);
            }
            Err(Malformed::NotACodeword) => buf.put_u8(1),
            Err(Malformed::Padding) => buf.put_u8(2),
        }
    }
}

impl EncodeSize for KeptPayload {
    fn encode_size(&self) -> usize {
        let content = self.opened.as_ref().map_or(0, |opened| opened.key.len() + blob(opened).encode_size());
        self.manifest.encode_size() + 1 + content
    }
}

impl Read for KeptPayload {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        let manifest = ReadExt::read(buf)?;
        let opened = match u8::read(buf)? {
            0 => {
                let key = <[u8; 32]>::read(buf)?;
                let payload: Blob<PAYLOAD_BYTES_MAX> = ReadExt::read(buf)?;
                Ok(Opened { payload: payload.bytes().clone(), key })
            }
            1 => Err(Malformed::NotACodeword),
            2 => Err(Malformed::Padding),
            tag => return Err(CodecError::InvalidEnum(tag)),
        };
        Ok(Self { manifest, opened })
    }
}

fn blob(opened: &Opened) -> Blob<PAYLOAD_BYTES_MAX> {
    Blob::new(opened.payload.clone()).expect("what opens is within the limit of a payload")
}

/// Writes payloads: one owner. After an error the store is unusable and the node has to stop.
pub struct PayloadStore<E: Context>(Arc<Disk<E>>);

/// Reads payloads. Clones share the store.
#[derive(Clone)]
pub struct PayloadReader(Arc<dyn Source>);

struct Disk<E: Context>(RwLock<Vault<E, KeptPayload>>);

trait Source: Send + Sync {
    fn get(&self, key: Digest) -> BoxFuture<'_, Result<Option<KeptPayload>, Error>>;
    fn sync(&self) -> BoxFuture<'_, Result<Handle<()>, Error>>;
}

impl<E: Context> Source for Disk<E> {
    fn get(&self, key: Digest) -> BoxFuture<'_, Result<Option<KeptPayload>, Error>> {
        async move {
            let vault = self.0.read().await;
            // After an error that its owner has been told of.
            if vault.is_usable() { vault.get(&key).await } else { Ok(None) }
        }
        .boxed()
    }

    fn sync(&self) -> BoxFuture<'_, Result<Handle<()>, Error>> {
        async move { self.0.write().await.sync().await }.boxed()
    }
}

impl<E: Context> PayloadStore<E> {
    /// Opens, or creates, the store of this name.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn open(context: E, partition: &str) -> Result<Self, Error> {
        let vault = Vault::open(context, &format!("{partition}-payloads")).await?;
        Ok(Self(Arc::new(Disk(RwLock::new(vault)))))
    }

    /// For those who read.
    #[must_use]
    pub fn reader(&self) -> PayloadReader {
        PayloadReader(self.0.clone())
    }

    /// What is kept of a payload.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn get(&self, name: &PayloadName) -> Result<Option<KeptPayload>, Error> {
        self.0.get(name.key()).await
    }

    /// Stores a payload that the header of `height` orders; durable when the handle completes.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn put(
        &mut self,
        height: Height,
        name: &PayloadName,
        payload: &KeptPayload,
    ) -> Result<Handle<()>, Error> {
        let mut vault = self.0.0.write().await;
        vault.put(height.0, name.key(), payload).await?;
        vault.sync().await
    }

    /// Forgets payloads below a height, as far as files allow.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn prune(&mut self, below: Height) -> Result<(), Error> {
        self.0.0.write().await.prune(below.0).await
    }
}

impl PayloadReader {
    /// What is kept of a payload; none if it is not here yet, or no longer.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn get(&self, name: &PayloadName) -> Result<Option<KeptPayload>, Error> {
        self.0.get(name.key()).await
    }

    /// Starts to make durable all that was stored. The handle completes when it is.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn sync(&self) -> Result<Handle<()>, Error> {
        self.0.sync().await
    }
}
