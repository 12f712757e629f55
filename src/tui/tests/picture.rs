//! The README's picture is of this screen: what does not change from one run to the next stands there as it is drawn now.
//! `cargo test --test it picture -- --ignored` makes it anew.

use super::{fixtures::*, states::*};
use crate::{session::Life, tui::Message};

const PICTURE: &str = include_str!("../../../assets/screen.svg");
/// As `tests/it/screen/picture.rs` has them.
const SIZE: (u16, u16) = (122, 44);

/// The picture's rows, each run of text at its column.
fn rows() -> Vec<String> {
    let number = |element: &str, name: &str| -> f32 {
        let (_, rest) = element.split_once(&format!(" {name}=\"")).unwrap();
        rest.split_once('"').unwrap().0.parse().unwrap()
    };
    let mut rows = vec![vec![' '; usize::from(SIZE.0)]; usize::from(SIZE.1)];
    for element in PICTURE.lines().filter(|line| line.starts_with("<text ")) {
        let (_, text) = element.split_once('>').unwrap();
        let text = text.strip_suffix("</text>").unwrap();
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        let row = ((number(element, "y") - 25.5) / 16.5).round() as usize;
        let column = ((number(element, "x") - 12.0) / 8.4).round() as usize;
        for (place, c) in rows[row][column..].iter_mut().zip(text.chars()) {
            *place = c;
        }
    }
    rows.into_iter().map(|row| row.into_iter().collect()).collect()
}

/// The types and the parameters with their sliders, and the keys.
fn lasting(rows: &[String]) -> Vec<&str> {
    let begin = rows.iter().position(|row| row.contains(" 2 CHAOS ")).unwrap() + 1;
    let end = rows.iter().position(|row| row.contains("[ Inject ]")).unwrap();
    let picker = rows[begin..end].iter().map(|row| row.split('┃').nth(1).unwrap());
    picker.chain(rows.last().map(|row| row.trim())).collect()
}

#[test]
fn the_picture_is_of_this_screen() {
    let mut screen = Screen::with(options(), SIZE.0, SIZE.1);
    screen.send(up(cluster()));
    screen.send(mine(vec![]));
    seconds(&mut screen, -2, 0, state);
    screen.keys("j2ll");
    screen.planned();
    screen.keys("i");
    let made = injection(1, Life::Active, partition("demo-tikv1-1"), 0, Some(600));
    screen.send(Message::Injected { result: Ok(vec![made.clone()]) });
    screen.send(mine(vec![made]));
    let (text, picture) = (screen.text(), rows());
    let now: Vec<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(lasting(&picture), lasting(&now), "`cargo test --test it picture -- --ignored` makes it anew");
}
