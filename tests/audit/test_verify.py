"""Tampering in every way: the first record that is bad is named, and what was done to it."""

import base64
import json
import shutil

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from tests.audit.conftest import Written, write_log
from twin.audit import AuditError, AuditLog, Checkpoint, Problem, StoredSnapshots, canonical, read_checkpoints, verify
from twin.audit.log import NOTHING, record_hash
from twin.audit.signing import Ed25519Signer, read_public_key, signature_holds


def checked(written, **options):
    """What is found with checkpoints and store: (record, problem) of each finding."""
    verdict = verify(
        written.log, read_checkpoints(written.checkpoints), store=StoredSnapshots(written.store), **options
    )
    return [(finding.record, finding.problem) for finding in verdict.findings]


def alone(written):
    """What is found without checkpoints."""
    return [(finding.record, finding.problem) for finding in verify(written.log).findings]


def forged(line, **changes):
    """A record with other attributes, its hash made to fit."""
    record = {**json.loads(line), **changes}
    record["hash"] = record_hash(record)
    return canonical(record) + b"\n"


def chained(lines):
    """The lines with ids and hashes made to fit one another, as somebody would who writes the log anew."""
    made, previous = [], NOTHING
    for n, line in enumerate(lines):
        made.append(forged(line, id=f"{n:010d}", previoushash=previous))
        previous = json.loads(made[-1])["hash"]
    return made


def test_a_log_as_it_was_written_is_fine(written):
    verdict = verify(written.log, read_checkpoints(written.checkpoints), store=StoredSnapshots(written.store))
    assert (verdict.findings, verdict.notes) == ((), ())
    assert (verdict.records, verdict.checkpoints, verdict.covered) == (12, 3, 12)
    assert verdict.root == read_checkpoints(written.checkpoints)[-1].root


@pytest.mark.parametrize("n", [0, 4, 11])
def test_a_changed_value(written, n):
    lines = written.lines()
    changed = lines[n].replace(b'"trays":', b'"trays":1', 1)
    assert changed != lines[n]
    written.rewrite([*lines[:n], changed, *lines[n + 1 :]])
    assert alone(written) == checked(written) == [(n, Problem.CHANGED)]


@pytest.mark.parametrize("n", [0, 4, 10])
def test_a_changed_record_with_a_hash_to_fit(written, n):
    lines = written.lines()
    written.rewrite([*lines[:n], forged(lines[n], subject="another"), *lines[n + 1 :]])
    assert alone(written) == checked(written) == [(n, Problem.REPLACED)]


def test_the_last_record_with_a_hash_to_fit_is_seen_by_the_checkpoint(written):
    lines = written.lines()
    written.rewrite([*lines[:11], forged(lines[11], subject="another")])
    assert alone(written) == []
    assert checked(written) == [(10, Problem.REWRITTEN)]  # the checkpoint before vouches for records 0 to 9


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, 3), (3, 4), (4, 9), (10, 11)])
def test_removed_records(written, start, stop):
    lines = written.lines()
    written.rewrite(lines[:start] + lines[stop:])
    assert alone(written) == [(start, Problem.REMOVED)]
    assert checked(written)[0] == (start, Problem.REMOVED)


def test_removed_records_with_ids_to_fit(written):
    lines = written.lines()
    moved = [forged(line, id=f"{n:010d}") for n, line in enumerate(lines[2:])]
    written.rewrite(moved)
    assert alone(written) == [(0, Problem.BEGINNING)]


@pytest.mark.parametrize(("one", "other"), [(0, 1), (3, 4), (2, 9), (10, 11)])
def test_records_in_another_order(written, one, other):
    lines = written.lines()
    lines[one], lines[other] = lines[other], lines[one]
    written.rewrite(lines)
    assert alone(written) == [(one, Problem.MOVED)]


@pytest.mark.parametrize(("source", "place"), [(0, 1), (2, 7), (11, 12), (4, 5)])
def test_a_copied_record(written, source, place):
    lines = written.lines()
    written.rewrite([*lines[:place], lines[source], *lines[place:]])
    assert alone(written) == [(place, Problem.INSERTED)]


@pytest.mark.parametrize("place", [0, 1, 5, 11])
def test_a_forged_record_that_fits_what_is_before_it(written, place):
    lines = written.lines()
    extra = forged(lines[place], subject="never asked")
    written.rewrite([*lines[:place], extra, *lines[place:]])
    assert alone(written) == [(place, Problem.INSERTED)]


def test_a_forged_record_that_fits_nothing(written):
    lines = written.lines()
    extra = forged(lines[3], id="0000000002", previoushash="sha256:" + "1" * 64)
    written.rewrite([*lines[:6], extra, *lines[6:]])
    assert alone(written) == [(6, Problem.INSERTED)]


@pytest.mark.parametrize("kept", [0, 1, 5, 9, 11])
def test_a_tail_that_was_cut_off_is_seen_by_the_checkpoint_alone(written, kept):
    written.rewrite(written.lines()[:kept])
    assert alone(written) == []
    assert checked(written) == [(kept, Problem.TAIL)]


def test_a_log_that_was_written_anew_is_seen_by_the_checkpoint_alone(written):
    lines = written.lines()
    written.rewrite(chained([*lines[:6], *lines[7:], lines[0]]))
    assert alone(written) == []
    assert checked(written) == [(5, Problem.REWRITTEN)]


def test_a_last_line_without_its_end(written):
    written.log.write_bytes(written.log.read_bytes()[:-1])
    assert alone(written) == [(11, Problem.INCOMPLETE)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"\n", Problem.UNREADABLE),
        (b"rubbish\n", Problem.UNREADABLE),
        (b"[1]\n", Problem.UNREADABLE),
        (b'{"a":NaN}\n', Problem.UNREADABLE),
        (b"\xff\n", Problem.UNREADABLE),
        (b"[" * 100_000 + b"\n", Problem.UNREADABLE),
        (b"{}\n", Problem.CHANGED),
        (b'{"a":1, "b":2}\n', Problem.SPELLING),
        (b'{"a":1,"a":1}\n', Problem.SPELLING),
    ],
)
def test_a_line_that_is_no_record(written, line, problem):
    lines = written.lines()
    written.rewrite([*lines[:7], line, *lines[7:]])
    assert alone(written) == [(7, problem)]


def test_another_spelling_of_the_same_values_is_a_change(written):
    lines = written.lines()
    written.rewrite([*lines[:7], json.dumps(json.loads(lines[7])).encode() + b"\n", *lines[8:]])
    assert alone(written) == [(7, Problem.SPELLING)]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Written:
    return write_log(tmp_path_factory.mktemp("pristine"))


@given(data=st.data())
def test_any_byte_that_is_changed_is_found(pristine, tmp_path_factory, data):
    whole = pristine.log.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[at]))
    path = tmp_path_factory.mktemp("byte") / "audit.jsonl"
    path.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
    record = whole[:at].count(b"\n")
    findings = verify(path).findings
    assert findings
    assert findings[0].record == record
    assert str(findings[0]).startswith(f"record {record:010d}: ")


@given(data=st.data())
def test_any_order_but_the_written_one_is_found(pristine, tmp_path_factory, data):
    lines = pristine.lines()
    chosen = data.draw(st.lists(st.sampled_from(range(len(lines))), max_size=14))
    path = tmp_path_factory.mktemp("order") / "audit.jsonl"
    path.write_bytes(b"".join(lines[n] for n in chosen))
    findings = verify(path).findings
    assert bool(findings) == (chosen != list(range(len(chosen))))
    if findings:
        assert findings[0].record <= next(n for n, each in enumerate([*chosen, -1]) if n >= len(chosen) or each != n)


# ---------------------------------------------------------------- checkpoints and store


def test_notes_say_what_could_not_be_seen(written):
    assert "cut off" in verify(written.log).notes[0]
    with AuditLog(written.log, source="/test") as log:
        log.append("datahall.action", "rack 0", 900.0, {})
    verdict = verify(written.log, read_checkpoints(written.checkpoints))
    assert verdict.notes[0] == "the last 1 records are after the last checkpoint that holds"


def test_a_checkpoint_of_another_log_is_said_to_be_one(written):
    (first, *_) = read_checkpoints(written.checkpoints)
    other = Checkpoint("/elsewhere", first.size, first.root, first.hash, first.time)
    (finding,) = verify(written.log, [other]).findings
    assert finding.problem is Problem.OTHER_LOG
    assert "/elsewhere" in finding.detail


def test_a_checkpoint_line_that_a_crash_cut_off_does_not_count(written):
    data = written.checkpoints.read_bytes()
    written.checkpoints.write_bytes(data[:-9])
    assert [each.size for each in read_checkpoints(written.checkpoints)] == [5, 10]


def test_a_store_that_lacks_or_changes_something_is_found(written, tmp_path):
    whole = written.store.read_bytes()
    written.store.write_bytes(whole[:-30])  # the last snapshot
    assert checked(written) == [(11, Problem.STORE)]
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(write_log(other, jobs=3).store, written.store)
    assert checked(written) == [(3, Problem.STORE)]


def test_signatures(writer):
    signer = Ed25519Signer(bytes(range(32)))
    written = writer(signer=signer)
    found = read_checkpoints(written.checkpoints)
    assert all(each.key == signer.public for each in found)

    def holds(checkpoint):
        return signature_holds(checkpoint, signer.public)

    assert checked(written, holds=holds) == []
    assert "signatures were not checked" in verify(written.log, found).notes[0]
    stranger = Ed25519Signer(bytes(32))
    assert not any(signature_holds(each, stranger.public) for each in found)
    # a checkpoint that is made to fit a log that was cut off, but cannot be signed
    fitting = Checkpoint(**{**vars(found[0]), "size": 3, "root": "sha256:" + "0" * 64})
    assert not holds(fitting)
    bare = Checkpoint(found[0].source, found[0].size, found[0].root, found[0].hash, found[0].time)
    verdict = verify(written.log, [bare], holds=holds)
    assert [finding.problem for finding in verdict.findings] == [Problem.SIGNATURE]
    assert "not signed" in verdict.findings[0].detail


def test_keys_in_files(tmp_path):
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    other = X25519PrivateKey.generate()
    public, private, hexadecimal = tmp_path / "public.pem", tmp_path / "private.pem", tmp_path / "public.hex"

    def write(secret):
        private.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public.write_bytes(secret.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    write(key)
    hexadecimal.write_text(Ed25519Signer(bytes(range(32))).public + "\n")
    assert read_public_key(public) == read_public_key(hexadecimal) == Ed25519Signer.from_pem(private).public
    write(other)
    for read, path, said in (
        (read_public_key, public, "is no Ed25519 key"),
        (Ed25519Signer.from_pem, private, "is no Ed25519 key; make one with: openssl"),
        (read_public_key, tmp_path / "none", "no public key"),
        (Ed25519Signer.from_pem, hexadecimal, "no private key in PEM"),
    ):
        with pytest.raises(AuditError, match=said):
            read(path)


def test_a_signature_of_rfc_8032():
    """RFC 8032 (Josefsson and Liusvaara, 2017), section 7.1, test 2."""
    private = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    signer = Ed25519Signer(private)
    assert signer.public == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert base64.b64decode(signer.sign(b"\x72")).hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
