//! Logs of many blocks.

use crate::{
    answers,
    errors::{INVALID_PARAMETERS, SERVER_ERROR, refused},
    server::Server,
};
use alloy_eips::BlockNumberOrTag;
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};
use chorale_evm::Block;
use jsonrpsee::core::RpcResult;

/// Blocks that one answer looks at.
const BLOCKS_MAX: u64 = 10_000;
/// Logs of one answer, if it is about more than one block: a block can always be read whole.
const LOGS_MAX: usize = 10_000;
/// Addresses and topics of one filter.
const FILTER_ITEMS_MAX: usize = 1_024;

/// # Errors
///
/// It would take too long to look for all of it.
pub(crate) fn check_filter(filter: &Filter) -> RpcResult<()> {
    let items = filter.address.len() + filter.topics.iter().map(|topics| topics.len()).sum::<usize>();
    if items > FILTER_ITEMS_MAX {
        let message = format!("a filter has at most {FILTER_ITEMS_MAX} addresses and topics, not {items}");
        return Err(refused(INVALID_PARAMETERS, message));
    }
    Ok(())
}

/// The logs of a block that match.
pub(crate) fn matching(block: &Block, filter: &Filter) -> Vec<Log> {
    if !filter.matches_bloom(block.header.logs_bloom)
        || !block.receipts.iter().flat_map(|receipt| receipt.logs()).any(|log| filter.matches(log))
    {
        return Vec::new();
    }
    answers::logs(block).into_iter().filter(|log| filter.matches(&log.inner)).collect()
}

impl Server {
    pub(crate) fn logs_of(&self, filter: &Filter) -> RpcResult<Vec<Log>> {
        check_filter(filter)?;
        let (first, last) = self.range_of(filter)?;
        let mut found = Vec::new();
        for number in first..=last {
            let Some(block) = self.block_if(number, |header| filter.matches_bloom(header.logs_bloom))? else {
                continue;
            };
            found.extend(matching(&block, filter));
            if found.len() > LOGS_MAX && first < last {
                let message = format!("more than {LOGS_MAX} logs match; ask for fewer blocks");
                return Err(refused(INVALID_PARAMETERS, message));
            }
        }
        Ok(found)
    }

    /// The first and the last block that a filter is about.
    fn range_of(&self, filter: &Filter) -> RpcResult<(u64, u64)> {
        let (from, to) = match filter.block_option {
            FilterBlockOption::AtBlockHash(hash) => {
                let number = self.number_here(hash)?.ok_or_else(|| refused(SERVER_ERROR, "unknown block"))?;
                return Ok((number, number));
            }
            FilterBlockOption::Range { from_block, to_block } => (from_block, to_block),
        };
        let (first, last) = {
            let published = self.read();
            let blocks = self.blocks_in(&published);
            let number = |tag: Option<BlockNumberOrTag>| blocks.number(tag.unwrap_or_default());
            (number(from), number(to).min(blocks.head().number))
        };
        if last.saturating_sub(first) >= BLOCKS_MAX {
            let message = format!("the range is of more than {BLOCKS_MAX} blocks; ask for parts of it");
            return Err(refused(INVALID_PARAMETERS, message));
        }
        Ok((first, last))
    }
}
