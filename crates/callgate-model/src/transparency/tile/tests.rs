use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::{Path, leaf_hash, verify_consistency, verify_inclusion};
use super::*;

/// The hash tiles of a tree of numbered entries, by their paths, and its roots at every size.
fn tiles(size: u64) -> (BTreeMap<String, Vec<u8>>, Vec<Digest>) {
    let (mut frontier, mut tiling) = (Frontier::new(), Tiling::default());
    let (mut roots, mut files) = (vec![frontier.root()], BTreeMap::new());
    let mut tell = |tile: Tile, bytes: &[u8]| {
        assert_eq!(bytes.len(), usize::from(tile.width) * 32);
        assert_eq!(files.insert(tile.path(), bytes.to_vec()), None, "told twice");
    };
    for number in 0..size {
        let leaf = leaf_hash(&number.to_be_bytes());
        frontier.push(leaf);
        tiling.push(leaf, &mut tell);
        roots.push(frontier.root());
    }
    tiling.rest(tell);
    let levels = (0..8).flat_map(|level| Tile::of_level(level, size));
    let mut paths: Vec<String> = levels.map(|tile| tile.path()).collect();
    paths.sort_unstable();
    assert!(files.keys().eq(&paths), "{:?}", files.keys());
    (files, roots)
}

#[test]
fn paths_are_those_of_the_specification() {
    let tile = |level, index, width| Tile { level, index, width };
    assert_eq!(tile(0, 1_234_067, 256).path(), "tile/0/x001/x234/067");
    assert_eq!(tile(0, 0, 256).path(), "tile/0/000");
    assert_eq!(tile(0, 1000, 256).path(), "tile/0/x001/000");
    assert_eq!(tile(1, 0, 17).path(), "tile/1/000.p/17");
    assert_eq!(tile(0, 273, 112).bundle_path(), "tile/entries/273.p/112");
    assert_eq!(tile(0, 999_999, 255).path(), "tile/0/x999/999.p/255");
}

#[test]
fn a_tree_has_the_tiles_that_the_specification_counts() {
    let of = |size| -> Vec<Vec<u16>> {
        (0..4).map(|level| Tile::of_level(level, size).map(|tile| tile.width).collect()).collect()
    };
    let [first, second, third, fourth] = &of(70_000)[..] else { panic!() };
    assert_eq!((first.len(), first[272], first[273]), (274, 256, 112));
    assert_eq!((second[..].len(), second[0], second[1]), (2, 256, 17));
    assert_eq!((third, fourth), (&vec![1], &vec![]));
    assert_eq!(of(256), [vec![256], vec![1], vec![], vec![]]);
    assert!(of(0).iter().all(Vec::is_empty));
    assert_eq!(Tile::of(9, 0, u64::MAX), None);
    assert_eq!(Tile::of(0, u64::MAX, u64::MAX), None);
    assert_eq!(Tile::of(7, 0, u64::MAX).unwrap().width, 255);
}

#[test]
fn bundles_are_read_as_they_are_written() {
    let long = vec![7; BUNDLED_BYTES_MAX];
    let bytes = bundle([&b"one"[..], b"", &long]).unwrap();
    assert_eq!(bytes[..5], [0, 3, b'o', b'n', b'e']);
    assert_eq!(unbundle(&bytes, 3), Ok(vec![&b"one"[..], b"", &long]));
    assert_eq!(unbundle(&bytes, 2), Err(BundleError::WrongCount));
    assert_eq!(unbundle(&bytes, 4), Err(BundleError::WrongCount));
    for cut in [1, 4, 6, bytes.len() - 1] {
        assert_eq!(unbundle(&bytes[..cut], 3), Err(BundleError::CutOff), "{cut}");
    }
    assert_eq!(bundle([&[0; BUNDLED_BYTES_MAX + 1][..]]), Err(BundleError::TooLong));
}

#[test]
fn a_tile_says_nothing_of_what_is_not_in_it() {
    let tile = Tile::of(0, 1, 300).unwrap();
    let bytes = vec![1; 44 * 32];
    assert!(tile.hash(&bytes, Subtree { level: 2, index: 64 }).is_some());
    for (level, index) in [(0, 0), (0, 300), (2, 75), (8, 0), (0, u64::MAX), (7, u64::MAX)] {
        assert_eq!(tile.hash(&bytes, Subtree { level, index }), None, "{level}, {index}");
    }
    assert_eq!(tile.hash(&bytes[1..], Subtree { level: 0, index: 256 }), None);
    assert_eq!(Tile::with(Subtree { level: 0, index: 300 }, 300), None);
    assert_eq!(Tile::with(Subtree { level: 6, index: 4 }, 300), None, "not complete");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn proofs_are_made_from_tiles(size in 1_u64..1200, index in any::<prop::sample::Index>()) {
        let (files, roots) = tiles(size);
        let index = index.index(usize::try_from(size).unwrap()) as u64;
        let hash_of = |subtree: Subtree| {
            let tile = Tile::with(subtree, size).unwrap();
            tile.hash(&files[&tile.path()], subtree).ok_or(subtree)
        };
        let (leaf, root) = (leaf_hash(&index.to_be_bytes()), roots[usize::try_from(size).unwrap()]);
        let proof = Path::inclusion(index, size).unwrap().prove(hash_of).unwrap();
        prop_assert_eq!(verify_inclusion(&leaf, index, size, &proof, &root), Ok(()));
        let proof = Path::consistency(index, size).unwrap().prove(hash_of).unwrap();
        let old = roots[usize::try_from(index).unwrap()];
        prop_assert_eq!(verify_consistency(index, &old, size, &root, &proof), Ok(()));
    }
}

#[test]
fn a_tree_of_many_levels_is_read_from_tiles() {
    let size = 66_000_u64;
    let (files, roots) = tiles(size);
    assert!(files.contains_key("tile/2/000.p/1"));
    let hash_of = |subtree: Subtree| {
        let tile = Tile::with(subtree, size).unwrap();
        tile.hash(&files[&tile.path()], subtree).ok_or(subtree)
    };
    for index in [0_u64, 255, 256, 65_535, 65_536, 65_999] {
        let leaf = leaf_hash(&index.to_be_bytes());
        let proof = Path::inclusion(index, size).unwrap().prove(hash_of).unwrap();
        assert_eq!(verify_inclusion(&leaf, index, size, &proof, &roots[66_000]), Ok(()), "{index}");
    }
}
