// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

import {ISynchronousCall, SYNCHRONOUS_CALL} from "./ISynchronousCall.sol";

/// @notice The rollups of this domain cannot call each other.
error NoSynchronousCalls();

/// @notice Under which address an account of a rollup calls contracts of other rollups.
/// @param rollup The rollup of the account.
/// @param account The account.
/// @return Its alias, the same on all other rollups. Nobody has a key for it.
function aliasOf(uint256 rollup, address account) pure returns (address) {
    return address(uint160(uint256(keccak256(abi.encodePacked("chorale/alias/v1", rollup, account)))));
}

/// @notice Calls a contract of another rollup. If that fails, this reverts with what the contract there says about it.
/// @param rollup The rollup.
/// @param target The contract.
/// @param data What it is called with.
/// @return What it returned.
function callRollup(uint256 rollup, address target, bytes memory data) returns (bytes memory) {
    (bool success, bytes memory output) = tryCallRollup(rollup, target, data);
    if (success) return output;
    assembly ("memory-safe") {
        revert(add(output, 32), mload(output))
    }
}

/// @notice Calls a contract of another rollup, and goes on if that fails.
/// @param rollup The rollup.
/// @param target The contract.
/// @param data What it is called with.
/// @return success Whether it returned.
/// @return output What it returned, or reverted with; if it was not called, an error of ISynchronousCall.
function tryCallRollup(uint256 rollup, address target, bytes memory data)
    returns (bool success, bytes memory output)
{
    bytes memory call = abi.encodeCall(ISynchronousCall.call, (rollup, target, data));
    (success, output) = address(SYNCHRONOUS_CALL).call(call);
    // Where nobody is, calls succeed.
    if (success && output.length == 0) revert NoSynchronousCalls();
    if (success) return (true, abi.decode(output, (bytes)));
    if (output.length >= 4 && bytes4(output) == ISynchronousCall.Failed.selector) {
        // The argument, without the selector before it.
        assembly ("memory-safe") {
            let length := sub(mload(output), 4)
            output := add(output, 4)
            mstore(output, length)
        }
        output = abi.decode(output, (bytes));
    }
}
