//! What layers did, against the reference model: the tree of each prefix of the layers says what
//! the next layer added, changed and removed, and what `which` must tell at every step.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use proptest::prelude::*;
use shalefs::layer::Kind;
use shalefs::limits::Limits;
use shalefs::tree::{History, How, Merger, Seen, Step, Whiteouts};

use super::compare::entry;
use crate::support::model::item::{dir, empty, file, hard_link, item, prune, symlink};
use crate::support::model::{self, Item, Tree, What};

fn history(layers: &[Vec<Item>]) -> History {
    let mut merger = Merger::recording(Limits::DEFAULT);
    for (number, layer) in layers.iter().enumerate() {
        let entries: Vec<_> =
            layer.iter().enumerate().map(|(at, item)| entry(item, (number, at))).collect();
        merger.layer(Whiteouts::Possible, || Ok::<_, Infallible>(entries.iter().map(Ok))).unwrap();
    }
    merger.finish_history()
}

fn prefixes(layers: &[Vec<Item>]) -> Vec<Tree> {
    (0..=layers.len()).map(|end| model::apply(&layers[..end]).unwrap()).collect()
}

/// The letter of each path that layer `number` touched, from the trees below and with it. The
/// root is always there; it counts when an entry describes it.
fn expected(below: &Tree, with: &Tree, number: usize) -> BTreeMap<Vec<u8>, char> {
    let all: BTreeSet<&Vec<u8>> = below.names.keys().chain(with.names.keys()).collect();
    let letter = |path: &Vec<u8>| match (below.names.get(path), with.names.get(path)) {
        (None, Some(_)) => Some('A'),
        (Some(_), None) => Some('D'),
        (Some(_), Some(name)) => {
            (name.layer == number && !(path.is_empty() && name.implied)).then_some('C')
        }
        (None, None) => None,
    };
    all.into_iter().filter_map(|path| Some((path.clone(), letter(path)?))).collect()
}

fn check_changes(history: &History, trees: &[Tree]) {
    for (number, pair) in trees.windows(2).enumerate() {
        let changes = history.changes(number as u32);
        let found: BTreeMap<_, _> =
            changes.iter().map(|change| (history.path(change), change.letter())).collect();
        assert_eq!(found.len(), changes.len(), "a path twice");
        assert_eq!(found, expected(&pair[0], &pair[1], number), "layer {number}");
    }
}

/// Stored and wasted bytes of each layer: those of nodes that have a name in the end, or none.
fn check_accounts(history: &History, last: &Tree, layers: usize) {
    let visible: BTreeSet<usize> = last.names.values().map(|name| name.inode).collect();
    let mut sums = vec![(0, 0); layers];
    for (number, inode) in last.inodes.iter().enumerate() {
        if let What::File(bytes) = &inode.item.what {
            let sum = &mut sums[inode.origin.0];
            sum.0 += bytes.len() as u64;
            sum.1 += if visible.contains(&number) { 0 } else { bytes.len() as u64 };
        }
    }
    let found: Vec<_> = history.accounts().iter().map(|a| (a.stored, a.wasted)).collect();
    assert_eq!(found, sums);
    let leftover = last.inodes.iter().any(|inode| inode.item.path.starts_with(b".wh..wh.plnk/"));
    let hidden: u64 = history.hidden().iter().map(|hidden| hidden.bytes).sum();
    let wasted: u64 = sums.iter().map(|sum| sum.1).sum();
    assert!(hidden == wasted || (leftover && hidden < wasted), "{hidden} of {wasted}");
}

fn check_seen(seen: Option<&Seen>, tree: &Tree, path: &[u8]) {
    let name = tree.names.get(path);
    assert_eq!(seen.is_some(), name.is_some(), "{:?}", String::from_utf8_lossy(path));
    let Some((seen, name)) = seen.zip(name) else { return };
    let node = &tree.inodes[name.inode];
    let (kind, size) = match &node.item.what {
        What::Directory => (Kind::Directory, 0),
        What::File(bytes) => (Kind::File, bytes.len()),
        What::Symlink(text) => (Kind::Symlink, text.len()),
        What::HardLink(_) => panic!("a node is no link"),
        What::Char(..) => (Kind::CharDevice, 0),
        What::Block(..) => (Kind::BlockDevice, 0),
        What::Fifo => (Kind::Fifo, 0),
    };
    let item = &node.item;
    assert_eq!((seen.kind, seen.size, seen.mode), (kind, size as u64, item.mode));
    assert_eq!((seen.uid, seen.gid), (item.uid, item.gid));
    assert_eq!((seen.mtime.seconds, seen.mtime.nanos), item.mtime);
    if kind == Kind::File {
        assert_eq!(seen.content_layer, Some(node.origin.0 as u32));
    }
}

/// The steps say after each layer what the model has there.
fn check_story(history: &History, trees: &[Tree], path: &[u8]) {
    let Ok(story) = history.which(path) else { return };
    if story.path != path {
        return;
    }
    let mut steps = story.steps.iter().rev().peekable();
    let mut now: Option<&Seen> = None;
    for (number, tree) in trees[1..].iter().enumerate() {
        if let Some(step) = steps.next_if(|step| step.layer == number as u32) {
            check_seen(step.before.as_ref(), &trees[number], path);
            assert!(!step.how.is_empty());
            now = step.after.as_ref();
        }
        check_seen(now, tree, path);
    }
    assert!(steps.next().is_none(), "a step of no layer");
}

fn check(layers: &[Vec<Item>]) {
    let trees = prefixes(layers);
    let history = history(layers);
    check_changes(&history, &trees);
    check_accounts(&history, trees.last().unwrap(), layers.len());
    let paths: BTreeSet<&Vec<u8>> = trees.iter().flat_map(|tree| tree.names.keys()).collect();
    for path in paths.into_iter().filter(|path| !path.is_empty()) {
        check_story(&history, &trees, path);
    }
}

fn layers() -> impl Strategy<Value = Vec<Vec<Item>>> {
    let entry = proptest::array::uniform8(any::<u8>()).prop_map(item);
    proptest::collection::vec(proptest::collection::vec(entry, 0..=20), 1..=5)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn history_equals_the_model(mut layers in layers()) {
        prune(&mut layers);
        check(&layers);
    }
}

fn steps(layers: &[Vec<Item>], path: &str) -> Vec<Step> {
    check(layers);
    history(layers).which(path.as_bytes()).unwrap().steps
}

/// Layer, whether something is before and after, and how.
fn brief(layers: &[Vec<Item>], path: &str) -> Vec<(u32, bool, bool, Vec<How>)> {
    let brief = |step: Step| (step.layer, step.before.is_some(), step.after.is_some(), step.how);
    steps(layers, path).into_iter().map(brief).collect()
}

#[test]
fn history_of_a_file_that_is_removed_and_comes_back() {
    let layers = [vec![file("d/a")], vec![empty("d/.wh.a")], vec![file("d/b")], vec![file("d/a")]];
    let found = brief(&layers, "/d/a");
    let whiteout = How::Whiteout(b"d/a".to_vec());
    assert_eq!(
        found,
        [
            (3, false, true, vec![How::Entry]),
            (1, true, false, vec![whiteout]),
            (0, false, true, vec![How::Entry])
        ]
    );
    assert_eq!(brief(&layers, "d").last().unwrap().3, [How::Parent]);
    assert_eq!(brief(&layers, "nothing"), []);
}

#[test]
fn history_of_what_goes_with_its_directory() {
    let lower = || vec![dir("d"), file("d/e/a"), file("d/e/b")];
    let hidden = brief(&[lower(), vec![empty(".wh.d")]], "d/e/a");
    assert_eq!(hidden[0], (1, true, false, vec![How::Whiteout(b"d".to_vec())]));
    let opaque = brief(&[lower(), vec![empty("d/.wh..wh..opq"), file("d/e/a")]], "d/e/a");
    assert_eq!(opaque[0], (1, true, true, vec![How::Opaque(b"d".to_vec()), How::Entry]));
    let replaced = brief(&[lower(), vec![symlink("d/e", "x")]], "d/e/b");
    let instead = vec![How::Replaced(b"d/e".to_vec())];
    assert_eq!(replaced[0], (1, true, false, instead), "nothing is where the link leads");
    let replaced = brief(&[lower(), vec![file("d/e")]], "d/e/b");
    assert_eq!(replaced[0], (1, true, false, vec![How::Replaced(b"d/e".to_vec())]));
}

#[test]
fn history_of_hard_links() {
    let link = Item { mode: 0o600, ..hard_link("b", "a") };
    let layers = [vec![file("a")], vec![link], vec![empty(".wh.a")]];
    let of_link = steps(&layers, "b");
    assert_eq!(of_link[0].how, [How::HardLink(b"a".to_vec())]);
    assert_eq!(of_link[0].after.as_ref().unwrap().content_layer, Some(0));
    let of_target = steps(&layers, "a");
    assert_eq!(of_target[1].how, [How::Attributes(b"b".to_vec())]);
    assert!(of_target[1].kept);
    let modes: Vec<_> =
        of_target.iter().filter_map(|step| step.after.as_ref()).map(|seen| seen.mode).collect();
    assert_eq!(modes, [0o600, file("a").mode]);
    assert_eq!(history(&layers).hidden(), [], "the bytes are still seen under the other name");
}

#[test]
fn history_follows_symlinked_parents() {
    let layers = [vec![symlink("bin", "usr/bin"), file("usr/bin/a")], vec![file("bin/a")]];
    let story = history(&layers).which(b"/bin/../bin/a/").unwrap();
    assert_eq!(story.path, b"usr/bin/a");
    assert_eq!(story.steps.len(), 2);
    assert_eq!(history(&layers).which(b"bin").unwrap().steps[0].after.as_ref().unwrap().size, 7);
}

#[test]
fn history_counts_bytes_as_dive_does() {
    let sized = |path: &str, size: usize| Item::new(path, What::File(vec![b'x'; size]));
    let layers = [
        vec![sized("a", 100), sized("d/b", 40), sized("c", 7)],
        vec![sized("a", 60), empty(".wh.d")],
        vec![hard_link("c", "a"), sized("e", 3)],
    ];
    check(&layers);
    let history = history(&layers);
    // a: 60 of 160, d/b: 0 of 40, c: 0 of 7, e: 3 of 3.
    assert!((history.efficiency() - 63.0 / 210.0).abs() < 1e-12);
    let hidden: Vec<_> = history
        .hidden()
        .into_iter()
        .map(|h| (h.path, h.bytes, h.layer, h.by, h.replaced))
        .collect();
    let expected = [("a", 100, 0, 1, true), ("d/b", 40, 0, 1, false), ("c", 7, 0, 2, true)];
    let expected = expected.map(|(path, bytes, of, by, how)| (path.into(), bytes, of, by, how));
    assert_eq!(hidden, expected);
    assert!((history_of_nothing() - 1.0).abs() < f64::EPSILON);
}

fn history_of_nothing() -> f64 {
    history(&[vec![]]).efficiency()
}
