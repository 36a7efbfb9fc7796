"""Asks the executable specification of Ethereum what it makes of blocks.

One question a line on standard input, one answer a line on standard output. A question has `id`, `fork`, `chainId`,
`env` and `txs` (hexadecimal EIP-2718 encodings); the first of a chain also has `alloc`, the state before it. The state
after a block is the state before the next. `./x eels` runs this.
"""

import io
import json
import logging
import sys

from ethereum_rlp import rlp
from ethereum_spec_tools.evm_tools import main

FIELDS = ["stateRoot", "txRoot", "receiptsRoot", "logsBloom", "gasUsed", "requestsHash"]


def transition(question, alloc):
    """The answer of the specification's transition tool, with the state after the block."""
    raw = [bytes.fromhex(transaction.removeprefix("0x")) for transaction in question["txs"]]
    # A legacy transaction is a list; the others are byte strings.
    transactions = [rlp.decode(each) if each[0] >= 0xC0 else each for each in raw]
    given = {"alloc": alloc, "env": question["env"], "txs": "0x" + rlp.encode(transactions).hex()}
    arguments = ["t8n", "--input.alloc", "stdin", "--input.env", "stdin", "--input.txs", "stdin"]
    arguments += ["--output.result", "stdout", "--output.alloc", "stdout"]
    arguments += ["--state.fork", question["fork"], "--state.chainid", str(question["chainId"])]
    out = io.StringIO()
    main(args=arguments, in_file=io.StringIO(json.dumps(given)), out_file=out)
    return json.loads(out.getvalue())


def run():
    logging.disable(logging.CRITICAL)
    alloc = None
    for line in sys.stdin:
        question = json.loads(line)
        answer = transition(question, question.get("alloc", alloc))
        alloc, result = answer["alloc"], answer["result"]
        assert not result.get("rejected"), (question["id"], result["rejected"])
        assert "blockException" not in result, (question["id"], result["blockException"])
        told = {"question": question["id"]} | {field: result[field] for field in FIELDS}
        print(json.dumps(told), flush=True)


run()
