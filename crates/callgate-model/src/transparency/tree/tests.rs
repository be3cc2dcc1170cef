use std::collections::BTreeMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;

use super::*;

/// The entries with which the first implementation of RFC 6962 was tested, and others since.
const ENTRIES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];
const N1_0: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
const N01_1: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
const N1_2: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";
const N4_0: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
const N3_1: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
const N2_1: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

fn digests(texts: &[&str]) -> Vec<Digest> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// A tree with the hashes of all its complete subtrees, and its roots at every size.
#[derive(Default)]
struct Whole {
    frontier: Frontier,
    hashes: BTreeMap<Subtree, Digest>,
    roots: Vec<Digest>,
}

impl Whole {
    fn of(entries: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut whole = Self { roots: vec![empty_root()], ..Self::default() };
        for entry in entries {
            whole.frontier.push_noting(leaf_hash(&entry), |subtree, hash| {
                assert_eq!(whole.hashes.insert(subtree, hash), None, "told twice");
            });
            whole.roots.push(whole.frontier.root());
        }
        whole
    }

    fn numbered(size: u64) -> Self {
        Self::of((0..size).map(|number| number.to_be_bytes().to_vec()))
    }

    fn prove(&self, path: &Path) -> Vec<Digest> {
        path.prove(|subtree| self.hashes.get(&subtree).copied().ok_or(subtree)).unwrap()
    }

    fn inclusion(&self, index: usize, size: usize) -> Vec<Digest> {
        self.prove(&Path::inclusion(index as u64, size as u64).unwrap())
    }

    fn consistency(&self, old: usize, size: usize) -> Vec<Digest> {
        self.prove(&Path::consistency(old as u64, size as u64).unwrap())
    }

    fn includes(&self, index: usize, size: usize, proof: &[Digest]) -> Result<(), ProofError> {
        let leaf = self.hashes[&Subtree { level: 0, index: index as u64 }];
        verify_inclusion(&leaf, index as u64, size as u64, proof, &self.roots[size])
    }

    fn grows(&self, old: usize, size: usize, proof: &[Digest]) -> Result<(), ProofError> {
        verify_consistency(old as u64, &self.roots[old], size as u64, &self.roots[size], proof)
    }
}

#[test]
fn roots_and_proofs_are_those_of_rfc_6962() {
    let whole = Whole::of(ENTRIES.map(hex));
    assert_eq!(whole.roots, digests(&ROOTS));
    for (index, size, proof) in [
        (0, 1, vec![]),
        (0, 8, vec![N1_0, N01_1, N1_2]),
        (5, 8, vec![N4_0, N3_1, ROOTS[4]]),
        (2, 3, vec![ROOTS[2]]),
        (1, 5, vec![ROOTS[1], N01_1, N4_0]),
    ] {
        assert_eq!(whole.inclusion(index, size), digests(&proof), "{index} in {size}");
    }
    for (old, size, proof) in [
        (1, 1, vec![]),
        (1, 8, vec![N1_0, N01_1, N1_2]),
        (6, 8, vec![N2_1, N3_1, ROOTS[4]]),
        (2, 5, vec![N01_1, N4_0]),
    ] {
        assert_eq!(whole.consistency(old, size), digests(&proof), "{old} to {size}");
    }
}

#[test]
fn every_proof_of_small_trees_holds() {
    let whole = Whole::numbered(70);
    for size in 0..=70 {
        for index in 0..size {
            let proof = whole.inclusion(index, size);
            assert_eq!(whole.includes(index, size, &proof), Ok(()), "{index} in {size}");
            // Nor does it hold for any other place or size.
            for other in (0..size).filter(|other| *other != index) {
                assert!(whole.includes(other, size, &proof).is_err(), "{index}, {other} in {size}");
            }
        }
        for old in 0..=size {
            let proof = whole.consistency(old, size);
            assert_eq!(whole.grows(old, size, &proof), Ok(()), "{old} to {size}");
        }
    }
}

#[test]
fn what_is_not_there_cannot_be_proven() {
    assert_eq!((Path::inclusion(0, 0), Path::inclusion(5, 5)), (None, None));
    assert_eq!(Path::consistency(6, 5), None);
    let zero = Digest::default();
    assert_eq!(verify_inclusion(&zero, 5, 5, &[], &zero), Err(ProofError::OutOfRange));
    assert_eq!(verify_consistency(6, &zero, 5, &zero, &[]), Err(ProofError::OutOfRange));
    // Every tree grows out of the empty one, but only if that is what was signed.
    assert_eq!(verify_consistency(0, &zero, 5, &zero, &[]), Err(ProofError::WrongRoot));
    assert_eq!(verify_consistency(0, &empty_root(), 5, &zero, &[]), Ok(()));
    assert_eq!(
        verify_consistency(0, &empty_root(), 5, &zero, &[zero]),
        Err(ProofError::WrongLength)
    );
    assert_eq!(verify_consistency(5, &zero, 5, &empty_root(), &[]), Err(ProofError::WrongRoot));
    assert_eq!(verify_consistency(3, &zero, 5, &zero, &[]), Err(ProofError::WrongLength));
}

#[test]
fn the_largest_trees_are_walked() {
    for (index, size) in [(0, u64::MAX), (u64::MAX - 1, u64::MAX), (1 << 62, (1 << 63) + 1)] {
        let path = Path::inclusion(index, size).unwrap();
        let proof = path.prove(|_| Ok::<_, ()>(Digest::default())).unwrap();
        assert!(proof.len() <= PROOF_HASHES_MAX, "{}", proof.len());
        let wrong = verify_inclusion(&Digest::default(), index, size, &proof, &Digest::default());
        assert_eq!(wrong, Err(ProofError::WrongRoot), "the length is right");
    }
    for (old, size) in [(1, u64::MAX), (u64::MAX - 1, u64::MAX), ((1 << 63) - 1, 1 << 63)] {
        let path = Path::consistency(old, size).unwrap();
        let proof = path.prove(|_| Ok::<_, ()>(Digest::default())).unwrap();
        assert!(proof.len() <= PROOF_HASHES_MAX, "{}", proof.len());
        let zero = Digest::default();
        assert_eq!(verify_consistency(old, &zero, size, &zero, &proof), Err(ProofError::WrongRoot));
    }
}

#[test]
fn a_frontier_is_kept_and_goes_on() {
    let mut frontier = Frontier::new();
    for number in 0..50_u8 {
        frontier = Frontier::from_parts(frontier.size(), frontier.hashes().to_vec()).unwrap();
        frontier.push(leaf_hash(&u64::from(number).to_be_bytes()));
    }
    assert_eq!(frontier, Whole::numbered(50).frontier);
    assert_eq!(Frontier::from_parts(50, frontier.hashes()[1..].to_vec()), None);
    assert_eq!(Frontier::from_parts(51, frontier.hashes().to_vec()), None);
}

proptest! {
    #[test]
    fn another_implementation_agrees(
        entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..200),
        at in any::<prop::sample::Index>(),
    ) {
        let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        entries.iter().for_each(|entry| theirs.push(entry.clone()));
        let size = entries.len();
        let ours = Whole::of(entries);
        let (root, their_root) = (ours.frontier.root(), theirs.root());
        prop_assert_eq!(&root.as_bytes()[..], &their_root.as_bytes()[..]);
        let index = at.index(size);
        let bytes = |proof: Vec<Digest>| -> Vec<u8> {
            proof.iter().flat_map(|hash| *hash.as_bytes()).collect()
        };
        let proof = theirs.prove_inclusion(index);
        prop_assert_eq!(bytes(ours.inclusion(index, size)), proof.as_bytes());
        let proof = theirs.prove_consistency(size - 1 - index);
        prop_assert_eq!(bytes(ours.consistency(index + 1, size)), proof.as_bytes());
    }

    #[test]
    fn an_altered_proof_fails(
        size in 1_usize..300,
        index in any::<prop::sample::Index>(),
        how in any::<(prop::sample::Index, usize)>(),
        kind in 0..5,
    ) {
        let whole = Whole::numbered(size as u64);
        let index = index.index(size);
        let inclusion = whole.inclusion(index, size);
        let consistency = whole.consistency(index + 1, size);
        prop_assert_eq!(whole.includes(index, size, &inclusion), Ok(()));
        prop_assert_eq!(whole.grows(index + 1, size, &consistency), Ok(()));
        for (proof, is_inclusion) in [(inclusion, true), (consistency, false)] {
            let mut altered = proof.clone();
            alter(&mut altered, kind, how);
            if altered == proof {
                continue;
            }
            let verdict = if is_inclusion {
                whole.includes(index, size, &altered)
            } else {
                whole.grows(index + 1, size, &altered)
            };
            prop_assert!(verdict.is_err(), "{index} of {size}, {kind}");
        }
    }

    #[test]
    fn a_proof_for_another_tree_fails(size in 2_usize..200, index in any::<prop::sample::Index>()) {
        let whole = Whole::numbered(size as u64);
        let index = index.index(size);
        let proof = whole.inclusion(index, size);
        let leaf = whole.hashes[&Subtree { level: 0, index: index as u64 }];
        let verify = |leaf, root| verify_inclusion(leaf, index as u64, size as u64, &proof, root);
        prop_assert!(verify(&leaf, &whole.roots[size - 1]).is_err());
        prop_assert!(verify(&leaf_hash(b"another"), &whole.roots[size]).is_err());
        let old = index + 1;
        let proof = whole.consistency(old, size);
        let other = leaf_hash(b"another");
        let grows = |from, to| verify_consistency(old as u64, from, size as u64, to, &proof);
        if old < size {
            prop_assert!(grows(&other, &whole.roots[size]).is_err());
            prop_assert!(grows(&whole.roots[old], &other).is_err());
        }
    }
}

fn alter(proof: &mut Vec<Digest>, kind: i32, (at, bit): (prop::sample::Index, usize)) {
    if proof.is_empty() {
        return proof.push(Digest::default());
    }
    let at = at.index(proof.len());
    match kind {
        0 => {
            let mut bytes = *proof[at].as_bytes();
            bytes[bit % 32] ^= 1 << (bit % 8);
            proof[at] = Digest::new(bytes);
        }
        1 => drop(proof.remove(at)),
        2 => proof.insert(at, proof[at]),
        3 => proof.push(Digest::default()),
        _ => proof.reverse(),
    }
}
