//! Writing a snapshot, section by section.

use super::{MAGIC, Section, VERSION};
use crate::store::{BlockBytes, Exported, Identity};
use alloy_primitives::Keccak256;
use chorale_evm::{Block, State};
use chorale_light::ProofFile;
use chorale_types::{RollupId, codec::Encode as _};
use std::io::{self, Write};

/// Hashes and counts what goes through it.
struct Sink<W> {
    out: W,
    hash: Keccak256,
    bytes: u64,
}

impl<W: Write> Sink<W> {
    fn put(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let bytes = bytes.as_ref();
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn begin(&mut self, section: Section) -> io::Result<()> {
        let (number, rollup) = section.number();
        self.put([number])?;
        rollup.map_or(Ok(()), |rollup| self.put(rollup.0.to_be_bytes()))
    }

    /// Bytes with their length before them.
    fn put_long(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let length = u32::try_from(bytes.as_ref().len()).map_err(io::Error::other)?;
        self.put(length.to_be_bytes())?;
        self.put(bytes)
    }

    /// Rows with their number before them.
    fn rows<I: Iterator>(
        &mut self,
        section: Section,
        rows: impl Fn() -> I,
        put: impl Fn(&mut Self, I::Item) -> io::Result<()>,
    ) -> io::Result<()> {
        self.begin(section)?;
        self.put((rows().count() as u64).to_be_bytes())?;
        for row in rows() {
            put(self, row)?;
        }
        Ok(())
    }
}

/// Writes all of it; returns how many bytes these are.
pub(super) fn write(out: impl Write, whose: &Identity, proof: &ProofFile, exported: &Exported) -> io::Result<u64> {
    let mut sink = Sink { out, hash: Keccak256::new(), bytes: 0 };
    sink.put(MAGIC)?;
    sink.put([VERSION])?;
    sink.begin(Section::Whose)?;
    sink.put(whose.chain.0)?;
    sink.put(whose.domain.0.to_be_bytes())?;
    sink.put([u8::try_from(whose.rollups.len()).map_err(io::Error::other)?])?;
    for (rollup, genesis) in &whose.rollups {
        sink.put(rollup.0.to_be_bytes())?;
        sink.put(genesis)?;
    }
    sink.begin(Section::Proof)?;
    sink.put_long(proof.encode())?;
    sink.begin(Section::Executed)?;
    sink.put_long(exported.executed.encode())?;
    sink.rows(
        Section::Bindings,
        || exported.burnt.iter(),
        |sink, (expiry, binding)| {
            sink.put(expiry.0.to_be_bytes())?;
            sink.put(binding)
        },
    )?;
    for (rollup, (blocks, chain)) in &exported.rollups {
        write_rollup(&mut sink, *rollup, blocks, chain.state())?;
    }
    let checksum = sink.hash.clone().finalize();
    sink.begin(Section::End)?;
    sink.put(checksum)?;
    sink.out.flush()?;
    Ok(sink.bytes)
}

fn write_rollup(sink: &mut Sink<impl Write>, rollup: RollupId, blocks: &[Block], state: &State) -> io::Result<()> {
    sink.rows(
        Section::Blocks(rollup),
        || blocks.iter(),
        |sink, block| {
            let BlockBytes { header, body } = BlockBytes::of(block);
            sink.put_long(header)?;
            sink.put_long(body)
        },
    )?;
    sink.rows(
        Section::Accounts(rollup),
        || state.accounts(),
        |sink, (address, account)| {
            sink.put(address)?;
            sink.put(account.nonce.to_be_bytes())?;
            sink.put(account.balance.to_be_bytes::<32>())?;
            sink.put(account.code_hash)
        },
    )?;
    sink.rows(
        Section::Slots(rollup),
        || state.slots(),
        |sink, (address, slot, value)| {
            sink.put(address)?;
            sink.put(slot.to_be_bytes::<32>())?;
            sink.put(value.to_be_bytes::<32>())
        },
    )?;
    sink.rows(Section::Codes(rollup), || state.codes(), |sink, (_, code)| sink.put_long(code))?;
    sink.rows(
        Section::Hashes(rollup),
        || state.block_hashes(),
        |sink, (number, hash)| {
            sink.put(number.to_be_bytes())?;
            sink.put(hash)
        },
    )
}
