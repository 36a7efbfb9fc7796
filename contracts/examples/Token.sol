// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

import {MAILBOX} from "../IMailbox.sol";

/// @title An ERC-20 that lives on several rollups and moves between them without a bridge.
/// @notice Each rollup has a contract of its own, and all are peers of each other. To move an amount, one leg of a
/// bundle burns it here and a later leg mints it there: the bundle commits both or neither, so all supplies together
/// stay what they were.
/// @dev Errors of ERC-20 are those of ERC-6093.
contract Token {
    /// @notice The token on another rollup.
    struct Peer {
        /// The rollup, by its chain id.
        uint256 chain;
        /// The token there.
        address token;
    }

    /// @notice An amount changed hands. It was minted if `from` is 0, and burnt if `to` is 0.
    /// @param from Who gave it.
    /// @param to Who received it.
    /// @param value How much.
    event Transfer(address indexed from, address indexed to, uint256 value);
    /// @notice An allowance was set.
    /// @param owner Whose tokens they are.
    /// @param spender Who may spend them.
    /// @param value How many.
    event Approval(address indexed owner, address indexed spender, uint256 value);
    /// @notice The token of another rollup is a peer of this one, from now on for good.
    /// @param chain The rollup.
    /// @param token The token there.
    event PeerSet(uint256 indexed chain, address indexed token);

    /// @notice The sender has too little.
    /// @param sender Who.
    /// @param balance What it has.
    /// @param needed What it would need.
    error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed);
    /// @notice The spender may spend too little.
    /// @param spender Who.
    /// @param allowance What it may spend.
    /// @param needed What it would need.
    error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed);
    /// @notice Nobody can receive at this address.
    /// @param receiver The address.
    error ERC20InvalidReceiver(address receiver);
    /// @notice Nobody can spend from this address.
    /// @param spender The address.
    error ERC20InvalidSpender(address spender);
    /// @notice Only who deployed the token may do that.
    error NotDeployer();
    /// @notice The peers are set already, and cannot be changed.
    error PeersAlreadySet();
    /// @notice That is no peer: not another rollup, or not a token.
    /// @param chain The rollup.
    /// @param token The token there.
    error InvalidPeer(uint256 chain, address token);
    /// @notice The token has no peer on this rollup.
    /// @param chain The rollup.
    error UnknownPeer(uint256 chain);

    /// @notice Digits after the point.
    uint8 public constant decimals = 18;
    /// @notice The token's name.
    string public name;
    /// @notice The token's short name.
    string public symbol;
    /// @notice What there is on this rollup.
    uint256 public totalSupply;
    /// @notice What each account has on this rollup.
    mapping(address owner => uint256) public balanceOf;
    /// @notice What each account lets others spend.
    mapping(address owner => mapping(address spender => uint256)) public allowance;
    /// @notice The token on other rollups, by chain id.
    mapping(uint256 chain => address token) public peers;
    /// @notice Who may set the peers.
    address public immutable deployer;
    /// @notice Whether that has happened.
    bool public peersSet;

    /// @notice Makes the token of one rollup.
    /// @param name_ The token's name.
    /// @param symbol_ Its short name.
    /// @param supply What the deployer has on this rollup from the start.
    constructor(string memory name_, string memory symbol_, uint256 supply) {
        name = name_;
        symbol = symbol_;
        deployer = msg.sender;
        create(msg.sender, supply);
    }

    /// @notice Names the tokens on all other rollups. The deployer does it once: who can name a peer can mint, so
    /// nobody can afterwards.
    /// @param list The peers.
    function setPeers(Peer[] calldata list) external {
        if (msg.sender != deployer) revert NotDeployer();
        if (peersSet) revert PeersAlreadySet();
        peersSet = true;
        for (uint256 i = 0; i < list.length; i++) {
            (uint256 chain, address token) = (list[i].chain, list[i].token);
            if (chain == block.chainid || token == address(0) || peers[chain] != address(0)) {
                revert InvalidPeer(chain, token);
            }
            peers[chain] = token;
            emit PeerSet(chain, token);
        }
    }

    /// @notice Burns an amount of the caller, for a later leg of the same bundle to mint.
    /// @param destination The rollup on which to mint it.
    /// @param to Who receives it there.
    /// @param amount How much.
    function burn(uint256 destination, address to, uint256 amount) external {
        // What cannot be minted there is refused here, where the reason can be seen.
        if (to == address(0)) revert ERC20InvalidReceiver(to);
        destroy(msg.sender, amount);
        MAILBOX.send(destination, peer(destination), abi.encode(to, amount));
    }

    /// @notice Mints what an earlier leg of the same bundle has burnt. Anyone may call it: the message says who
    /// receives how much, and without that message the bundle does not commit.
    /// @param source The rollup on which it was burnt.
    /// @param to Who receives it.
    /// @param amount How much.
    function mint(uint256 source, address to, uint256 amount) external {
        MAILBOX.consume(source, peer(source), abi.encode(to, amount));
        create(to, amount);
    }

    /// @notice Gives an amount of the caller to someone on this rollup.
    /// @param to Who receives it.
    /// @param value How much.
    /// @return Always true: what cannot be done reverts.
    function transfer(address to, uint256 value) external returns (bool) {
        move(msg.sender, to, value);
        return true;
    }

    /// @notice Lets someone spend tokens of the caller.
    /// @param spender Who may.
    /// @param value How many; 2^256 - 1 for as many as there are, for ever.
    /// @return Always true: what cannot be done reverts.
    function approve(address spender, uint256 value) external returns (bool) {
        if (spender == address(0)) revert ERC20InvalidSpender(spender);
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    /// @notice Gives an amount of someone who has let the caller spend it.
    /// @param from Whose it is.
    /// @param to Who receives it.
    /// @param value How much.
    /// @return Always true: what cannot be done reverts.
    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        if (allowed != type(uint256).max) {
            if (allowed < value) revert ERC20InsufficientAllowance(msg.sender, allowed, value);
            unchecked {
                allowance[from][msg.sender] = allowed - value;
            }
        }
        move(from, to, value);
        return true;
    }

    function move(address from, address to, uint256 value) private {
        if (to == address(0)) revert ERC20InvalidReceiver(to);
        withdraw(from, value);
        // No overflow: all balances together are the supply, which is checked where it grows.
        unchecked {
            balanceOf[to] += value;
        }
        emit Transfer(from, to, value);
    }

    function create(address to, uint256 value) internal {
        if (to == address(0)) revert ERC20InvalidReceiver(to);
        totalSupply += value;
        unchecked {
            balanceOf[to] += value;
        }
        emit Transfer(address(0), to, value);
    }

    function destroy(address from, uint256 value) internal {
        withdraw(from, value);
        unchecked {
            totalSupply -= value;
        }
        emit Transfer(from, address(0), value);
    }

    function withdraw(address from, uint256 value) private {
        uint256 balance = balanceOf[from];
        if (balance < value) revert ERC20InsufficientBalance(from, balance, value);
        unchecked {
            balanceOf[from] = balance - value;
        }
    }

    function peer(uint256 chain) internal view returns (address token) {
        token = peers[chain];
        if (token == address(0)) revert UnknownPeer(chain);
    }
}
