// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

import {MAILBOX} from "../IMailbox.sol";

/// @title For tests: goes at the mailbox in every way there is, several in one transaction.
contract Probe {
    /// @notice A way to go at the mailbox.
    enum Way {
        Call,
        StaticCall,
        DelegateCall,
        /// A call in a frame that then reverts.
        Undone,
        /// Makes the mailbox's address warm: its balance, code size and code hash are read, and code is copied.
        Look,
        /// Makes this contract's own slot 0 warm.
        OwnSlot
    }

    /// @notice One thing to do.
    struct Step {
        Way way;
        /// For the mailbox, at most.
        uint256 gas;
        bytes data;
    }

    /// @notice What came of one step.
    struct Outcome {
        bool success;
        bytes result;
        /// Used by the step.
        uint256 gas;
    }

    /// @notice What came of all steps.
    /// @param outcomes One for each step.
    event Probed(Outcome[] outcomes);

    /// @notice Carries its outcome out of a frame that is undone.
    /// @param success Of the call.
    /// @param result Of the call.
    error Undo(bool success, bytes result);

    /// @notice Does all steps, whatever comes of them.
    /// @param steps What to do.
    /// @return outcomes What came of each.
    function run(Step[] calldata steps) external returns (Outcome[] memory outcomes) {
        outcomes = new Outcome[](steps.length);
        for (uint256 i = 0; i < steps.length; i++) {
            uint256 start = gasleft();
            (outcomes[i].success, outcomes[i].result) = take(steps[i]);
            outcomes[i].gas = start - gasleft();
        }
        emit Probed(outcomes);
    }

    /// @notice Calls the mailbox, and reverts.
    /// @param gas_ For the mailbox, at most.
    /// @param data What to call it with.
    function undone(uint256 gas_, bytes calldata data) external {
        (bool success, bytes memory result) = address(MAILBOX).call{gas: gas_}(data);
        revert Undo(success, result);
    }

    function take(Step calldata step) private returns (bool, bytes memory) {
        if (step.way == Way.Call) return address(MAILBOX).call{gas: step.gas}(step.data);
        if (step.way == Way.StaticCall) return address(MAILBOX).staticcall{gas: step.gas}(step.data);
        if (step.way == Way.DelegateCall) return address(MAILBOX).delegatecall{gas: step.gas}(step.data);
        if (step.way == Way.Undone) return address(this).call(abi.encodeCall(this.undone, (step.gas, step.data)));
        if (step.way == Way.Look) {
            return (true, abi.encode(address(MAILBOX).balance, address(MAILBOX).codehash, address(MAILBOX).code));
        }
        uint256 value;
        assembly {
            value := sload(0)
        }
        return (true, abi.encode(value));
    }
}
