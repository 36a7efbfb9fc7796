//! What payloads opened to, on disk, for settlement after a restart and for nodes that come late.

use super::RevealedPayload;
use crate::{
    dispersal::{message::OpenedPayload, vault::Vault},
    runtime::Context,
};
use chorale_dispersal::{Malformed, Opened};
use chorale_foundation::{BufMut, runtime::Handle, storage::archive::Error};
use chorale_types::{
    AvailabilityCertificate, Commitment, Height, Manifest,
    codec::{Blob, Buf, EncodeSize, Error as CodecError, Read, ReadExt, Write},
    codec_struct,
    limits::PAYLOAD_BYTES_MAX,
};

/// One payload on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Archived {
    manifest: Manifest,
    content: Content,
}
codec_struct!(Archived { manifest, content });

#[derive(Clone, Debug, PartialEq, Eq)]
struct Content(Result<Opened, Malformed>);

impl Write for Content {
    fn write(&self, buf: &mut impl BufMut) {
        match &self.0 {
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

impl EncodeSize for Content {
    fn encode_size(&self) -> usize {
        1 + self.0.as_ref().map_or(0, |opened| opened.key.len() + blob(opened).encode_size())
    }
}

impl Read for Content {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        Ok(Self(match u8::read(buf)? {
            0 => {
                let key = <[u8; 32]>::read(buf)?;
                let payload: Blob<PAYLOAD_BYTES_MAX> = ReadExt::read(buf)?;
                Ok(Opened { payload: payload.bytes().clone(), key })
            }
            1 => Err(Malformed::NotACodeword),
            2 => Err(Malformed::Padding),
            tag => return Err(CodecError::InvalidEnum(tag)),
        }))
    }
}

fn blob(opened: &Opened) -> Blob<PAYLOAD_BYTES_MAX> {
    Blob::new(opened.payload.clone()).expect("what opens is within the limit of a payload")
}

/// All payloads of the last heights.
pub(super) struct Archive<E: Context> {
    vault: Vault<E, Archived>,
}

impl<E: Context> Archive<E> {
    pub(super) async fn open(context: E, partition: &str) -> Result<Self, Error> {
        Ok(Self { vault: Vault::open(context, &format!("{partition}-payloads")).await? })
    }

    /// Stores a payload of `height`; durable when the handle completes.
    pub(super) async fn put(&mut self, height: Height, payload: &RevealedPayload) -> Result<Handle<()>, Error> {
        let archived = Archived { manifest: (*payload.manifest).clone(), content: Content(payload.opened.clone()) };
        self.vault.put(height.0, payload.certificate.commitment().0, &archived).await?;
        self.vault.sync().await
    }

    /// What the payload of a certificate opened to. None if it is not here, or was ordered with another manifest.
    pub(super) async fn get(&self, certificate: &AvailabilityCertificate) -> Result<Option<RevealedPayload>, Error> {
        let archived = self.vault.get(&certificate.commitment().0).await?;
        let archived = archived.filter(|it| it.manifest.digest() == certificate.acknowledged.manifest);
        Ok(archived.map(|it| RevealedPayload {
            certificate: certificate.clone(),
            manifest: it.manifest.into(),
            opened: it.content.0,
        }))
    }

    /// The answer to who asks for a payload. None if it is not here; the manifest alone if it opened to nothing.
    pub(super) async fn answer(
        &self,
        commitment: Commitment,
    ) -> Result<Option<(Manifest, Option<OpenedPayload>)>, Error> {
        let archived = self.vault.get(&commitment.0).await?;
        Ok(archived.map(|it| {
            let opened = it.content.0.ok().map(|opened| OpenedPayload {
                commitment,
                manifest: it.manifest.clone(),
                key: opened.key,
                payload: blob(&opened),
            });
            (it.manifest, opened)
        }))
    }

    /// Forgets payloads below a height, as far as files allow.
    pub(super) async fn prune(&mut self, below: Height) -> Result<(), Error> {
        self.vault.prune(below.0).await
    }
}
