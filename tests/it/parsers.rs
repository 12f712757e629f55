//! The parsers of what others write, on the kept corpus and on mutations of it: a slice of what the fuzzers search.

#[path = "../../fuzz/targets.rs"]
mod targets;

use std::{fs, path::Path};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

/// Mutations of each text.
const MUTATIONS: usize = 300;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    let texts: Vec<Vec<u8>> = files.into_iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(!texts.is_empty(), "no corpus for {name}");
    texts
}

/// Some bytes changed, left out, said twice, or taken from another text.
fn mutate(text: &mut Vec<u8>, others: &[Vec<u8>], rng: &mut StdRng) {
    for _ in 0..rng.random_range(1..5) {
        if text.is_empty() {
            return;
        }
        let at = rng.random_range(0..text.len());
        let until = text.len().min(at + rng.random_range(1..40));
        match rng.random_range(0..5) {
            0 => text[at] = *b"\0\"{}[]:,-0919eE.\\\xff ".choose(rng).unwrap(),
            1 => drop(text.drain(at..until)),
            2 => {
                let twice = text[at..until].to_vec();
                text.splice(at..at, twice);
            }
            3 => text.truncate(at),
            _ => {
                let other = others.choose(rng).unwrap();
                let from = rng.random_range(0..=other.len());
                let piece = other[from..other.len().min(from + 40)].to_vec();
                text.splice(at..until, piece);
            }
        }
    }
}

fn search(name: &str, target: fn(&[u8])) {
    let texts = corpus(name);
    let mut rng = StdRng::seed_from_u64(support::seed());
    for text in &texts {
        target(text);
        for _ in 0..MUTATIONS {
            let mut text = text.clone();
            mutate(&mut text, &texts, &mut rng);
            target(&text);
        }
    }
}

#[test]
fn journal_parser_believes_only_what_program_could_write() {
    search("journal", targets::journal);
}

#[test]
fn protocol_parser_survives_mutated_lines() {
    search("protocol", targets::protocol);
}

#[test]
fn parsers_of_tools_pd_and_metrics_survive_mutated_texts() {
    search("text", targets::text);
}
