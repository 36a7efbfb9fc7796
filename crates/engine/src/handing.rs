//! Handing over: where the client is, and what it is given next.

use crate::{
    alarm::{Alarm, Reason},
    client::{Answered, Client, ClientBlock, FORKCHOICE_V3, NEW_PAYLOAD_V4, PayloadStatus, Updated, Verdict, json},
    driver::{Blocks, Config, Heads, Kind},
    payload::new_payload,
    token::now_s,
    trouble::Trouble,
};
use alloy_primitives::B256;
use alloy_rpc_types_engine::ForkchoiceState;
use chorale_evm::Block;
use serde_json::Value;
use std::sync::Arc;
use tracing::{info, warn};

/// After so many blocks a client that catches up is told a head: some keep in memory what is behind none.
const HEAD_EVERY: u64 = 32;

/// Why nothing more is handed over.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The node stops.
    End,
    /// It passes.
    Trouble(Trouble),
    /// The client disagrees.
    Alarm(Box<Alarm>),
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// Whether the client took something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Yes,
    /// It lacks what was before.
    Lacking,
}

/// A client that was asked who it is.
pub(crate) struct Session<'a> {
    pub(crate) config: &'a Config,
    pub(crate) client: Client,
    version: String,
    blocks: Arc<dyn Blocks>,
    /// The first block that the client has not, as far as is known.
    next: u64,
    /// The client's own last block: number and hash.
    pub(crate) tip: (u64, B256),
}

/// A question, as it is shown if the answer is an alarm.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'static str,
    pub(crate) params: &'a [Value],
}

impl<'a> Session<'a> {
    /// Asks the client who it is, and where.
    pub(crate) async fn open(config: &'a Config, blocks: Arc<dyn Blocks>, heads: Heads) -> Result<Self, Stop> {
        let mut client = Client::new(&config.url, &config.secret, config.pace.answer)?;
        client.exchange_capabilities().await?;
        client.require(FORKCHOICE_V3)?;
        if config.kind == Kind::Ethereum {
            client.require(NEW_PAYLOAD_V4)?;
        }
        let found = client.chain_id().await?;
        if found != config.rollup {
            return Err(Trouble::Chain { expected: config.rollup, found }.into());
        }
        let version = client.version().await;
        let mut session = Self { config, client, version, blocks, next: 1, tip: (0, B256::ZERO) };
        let expected = session.block(0).await?.header.hash();
        let found = session.client.block_at(0).await?.map_or(B256::ZERO, |block| block.hash);
        if found != expected {
            return Err(Trouble::Genesis { expected, found }.into());
        }
        session.tip = (0, expected);
        session.next = session.common(heads.latest).await? + 1;
        Ok(session)
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Hands over all blocks up to the last one, and the heads.
    pub(crate) async fn hand_over(&mut self, heads: Heads) -> Result<(), Stop> {
        let mut back = 1;
        loop {
            let mut taken = Taken::Yes;
            while self.next <= heads.latest && taken == Taken::Yes {
                taken = self.hand(heads).await?;
            }
            if taken == Taken::Yes {
                taken = self.tell_heads(heads).await?;
            }
            if taken == Taken::Yes {
                return Ok(());
            }
            self.go_back(heads, &mut back).await?;
        }
    }

    /// Hands over the next block.
    async fn hand(&mut self, heads: Heads) -> Result<Taken, Stop> {
        let block = self.block(self.next).await?;
        let before = Heads { latest: self.next - 1, ..heads };
        let taken = match self.config.kind {
            Kind::Ethereum => self.hand_whole(&block).await?,
            Kind::OpStack => self.have_built(&block, before).await?,
        };
        if taken == Taken::Lacking {
            return Ok(Taken::Lacking);
        }
        self.next += 1;
        if self.next.is_multiple_of(HEAD_EVERY) {
            return self.tell_heads(Heads { latest: self.next - 1, ..heads }).await;
        }
        Ok(Taken::Yes)
    }

    async fn hand_whole(&mut self, block: &Block) -> Result<Taken, Stop> {
        let (method, params) = new_payload(block);
        self.client.require(method)?;
        let hash = block.header.hash();
        let Answered { raw, answer } = self.client.call::<PayloadStatus>(method, &params).await?;
        let asked = Asked { method, params: &params };
        let taken = self.judge(block, hash, &asked, &answer, raw)?;
        if answer.status == Verdict::Accepted {
            // It is on another branch, and executes this one when it is told that it is the head.
            return self.tell(&self.state(hash, B256::ZERO, B256::ZERO), block).await;
        }
        Ok(taken)
    }

    /// What an answer about a block means, which the client calls by this hash.
    pub(crate) fn judge(
        &self,
        block: &Block,
        hash: B256,
        asked: &Asked<'_>,
        status: &PayloadStatus,
        raw: Value,
    ) -> Result<Taken, Stop> {
        let reason = match (status.status, status.latest_valid_hash) {
            (Verdict::Valid, Some(found)) if found != hash => Reason::OtherHash { found: Some(found) },
            (Verdict::Valid | Verdict::Accepted, _) => return Ok(Taken::Yes),
            (Verdict::Syncing, _) => return Ok(Taken::Lacking),
            (Verdict::Invalid | Verdict::InvalidBlockHash, _) => {
                Reason::Invalid { error: status.validation_error.clone() }
            }
        };
        Err(self.alarm(block, asked, reason, raw))
    }

    pub(crate) fn alarm(&self, block: &Block, asked: &Asked<'_>, reason: Reason, theirs: Value) -> Stop {
        Stop::Alarm(Box::new(Alarm {
            rollup: self.config.rollup,
            url: self.config.url.clone(),
            client: self.version.clone(),
            time_s: now_s(),
            number: block.header.number,
            hash: block.header.hash(),
            reason,
            method: asked.method.to_owned(),
            params: asked.params.to_vec(),
            ours: json(block.header.inner()),
            theirs,
        }))
    }

    /// Tells the client the heads. Those that it has not yet are none: it is told them when it has.
    async fn tell_heads(&mut self, heads: Heads) -> Result<Taken, Stop> {
        let state = self.heads_state(heads).await?;
        let block = self.block(heads.latest).await?;
        self.tell(&state, &block).await
    }

    /// The heads as the client calls them.
    pub(crate) async fn heads_state(&mut self, heads: Heads) -> Result<ForkchoiceState, Stop> {
        let head = self.hash_at(heads.latest).await?;
        let safe = self.hash_if_any(heads.safe.min(heads.latest)).await?;
        let finalized = self.hash_if_any(heads.finalized.min(heads.latest)).await?;
        Ok(self.state(head, safe, finalized))
    }

    const fn state(&self, head: B256, safe: B256, finalized: B256) -> ForkchoiceState {
        ForkchoiceState { head_block_hash: head, safe_block_hash: safe, finalized_block_hash: finalized }
    }

    async fn tell(&self, state: &ForkchoiceState, block: &Block) -> Result<Taken, Stop> {
        let Answered { raw, answer: Updated { payload_status, .. } } = self.client.forkchoice(state, None).await?;
        let params = [json(state), Value::Null];
        let asked = Asked { method: FORKCHOICE_V3, params: &params };
        self.judge(block, state.head_block_hash, &asked, &payload_status, raw)
    }

    /// The client lacks something: from where its head is, or from further and further back.
    async fn go_back(&mut self, heads: Heads, back: &mut u64) -> Result<(), Stop> {
        let lacking = self.next;
        let found = self.common(heads.latest).await? + 1;
        self.next = if found < self.next { found } else { self.next.saturating_sub(*back) };
        *back = back.saturating_mul(2);
        if self.next == 0 {
            self.next = 1;
            return Err(Trouble::Syncing(lacking).into());
        }
        info!(
            rollup = self.config.rollup,
            from = self.next,
            "the execution client lacks blocks: they are handed to it again"
        );
        Ok(())
    }

    /// The last block that both have, up to this one.
    async fn common(&mut self, last: u64) -> Result<u64, Stop> {
        let theirs = self.client.latest().await?;
        let number = theirs.number.to::<u64>();
        let (same, theirs) =
            if number <= last { (number, Some(theirs)) } else { (last, self.client.block_at(last).await?) };
        if let Some(theirs) = theirs
            && self.is_ours(same, &theirs).await?
        {
            self.tip = (same, theirs.hash);
            if number > last {
                info!(
                    rollup = self.config.rollup,
                    client = number,
                    here = last,
                    "the execution client is ahead, and is led back"
                );
            }
            return Ok(same);
        }
        let (mut same, mut other) = (0, same);
        while other - same > 1 {
            let middle = same + (other - same) / 2;
            match self.client.block_at(middle).await? {
                Some(theirs) if self.is_ours(middle, &theirs).await? => same = middle,
                _ => other = middle,
            }
        }
        warn!(rollup = self.config.rollup, after = same, "the execution client is on another branch, and is led back");
        self.tip = (0, B256::ZERO);
        Ok(same)
    }

    /// Whether a block of the client is the rollup's of this number.
    async fn is_ours(&self, number: u64, theirs: &ClientBlock) -> Result<bool, Stop> {
        let ours = self.block(number).await?;
        Ok(match self.config.kind {
            Kind::OpStack if number > 0 => crate::optimism::is_made_of(theirs, &ours),
            _ => theirs.hash == ours.header.hash(),
        })
    }

    /// What the client calls one of its blocks.
    pub(crate) async fn hash_at(&mut self, number: u64) -> Result<B256, Stop> {
        match self.config.kind {
            Kind::OpStack if number > 0 => {
                if self.tip.0 == number {
                    return Ok(self.tip.1);
                }
                let block = self.client.block_at(number).await?;
                let reason = || format!("it had block {number}, and has it no more");
                Ok(block.ok_or_else(|| Trouble::Answer { method: "eth_getBlockByNumber", reason: reason() })?.hash)
            }
            _ => Ok(self.block(number).await?.header.hash()),
        }
    }

    /// No hash at all stands for "none yet", which block 0 is.
    async fn hash_if_any(&mut self, number: u64) -> Result<B256, Stop> {
        if number == 0 { Ok(B256::ZERO) } else { self.hash_at(number).await }
    }

    pub(crate) async fn block(&self, number: u64) -> Result<Block, Stop> {
        let blocks = Arc::clone(&self.blocks);
        let read = tokio::task::spawn_blocking(move || blocks.block(number)).await;
        let read = read.map_err(|error| Trouble::Store(format!("reading block {number}: {error}")))?;
        Ok(read.map_err(Trouble::Store)?.ok_or(Trouble::NotKept(number))?)
    }
}
