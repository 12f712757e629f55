//! Makes the README's picture from the real screen: the program in a terminal, over the stand-in cluster.
//!
//! `cargo test --test it picture -- --ignored` writes `assets/screen.svg`; that it is of the screen as it is now is checked
//! with the screen's own tests.

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    num::NonZeroU16,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use support::{demo::Demo, docker_is_here, program_path, wait_for};

const ROWS: u16 = 44;
const COLUMNS: u16 = 122;
const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/screen.svg");
const CALM: Duration = Duration::from_secs(20);
const CELL: (f32, f32) = (8.4, 16.5);

#[test]
#[ignore = "makes the picture; nothing is checked"]
fn screen_picture_is_written_to_assets() {
    if !docker_is_here() {
        return;
    }
    let began = Instant::now();
    let demo = Demo::named("demo".to_owned(), &["--speed", "4"]);
    let screen = Arc::new(Mutex::new(vt100::Parser::new(size_of(ROWS), size_of(COLUMNS), 0)));
    let size = PtySize { rows: ROWS, cols: COLUMNS, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
    let mut command = CommandBuilder::new(program_path());
    command.args(["--project", &demo.project, "--state-dir"]);
    command.arg(demo.program.state.path());
    command.env("TERM", "xterm-256color");
    command.env("LANG", "C.UTF-8");
    let mut child = pair.slave.spawn_command(command).expect("the program, built");
    let mut reader = pair.master.try_clone_reader().expect("the terminal's output");
    let mut keys = pair.master.take_writer().expect("the terminal's input");
    let shared = Arc::clone(&screen);
    thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            shared.lock().expect("the screen").process(&buffer[..count]);
        }
    });
    let shows = |text: &str| {
        wait_for(text, || screen.lock().expect("the screen").screen().contents().contains(text).then_some(()));
    };
    let mut press = |text: &str| keys.write_all(text.as_bytes()).expect("keys");

    let (down, right) = ("\x1b[B", "\x1b[C");
    shows("demo-tikv2");
    shows("ops/s");
    press(&format!("{down}2{right}{right}"));
    // A while of calm for the chart, then the fault, until its leaders are gone.
    wait_for("a while of calm", || (began.elapsed() > CALM).then_some(()));
    press("i");
    shows("injected network_partition");
    shows("leaders left demo-tikv1");
    wait_for("a while of trouble", || (began.elapsed() > 2 * CALM).then_some(()));
    std::fs::write(PICTURE, svg(screen.lock().expect("the screen").screen())).expect("the picture, written");
    press("q");
    shows("revert all and quit");
    press("r");
    child.wait().expect("the program's end");
}

fn size_of(cells: u16) -> NonZeroU16 {
    NonZeroU16::new(cells).expect("more than none")
}

/// The cells as text on a dark ground: a run of the same style is one element.
fn svg(screen: &vt100::Screen) -> String {
    let (width, height) = (CELL.0 * f32::from(COLUMNS) + 24.0, CELL.1 * f32::from(ROWS) + 24.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"ui-monospace, \
         'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#16181d\"/>\n"
    );
    for row in 0..ROWS {
        let mut column = 0;
        while column < COLUMNS {
            let start = column;
            let style = style_of(screen, row, column);
            let mut text = String::new();
            while column < COLUMNS && style_of(screen, row, column) == style {
                let contents = screen.cell(row, column).map(vt100::Cell::contents).unwrap_or_default();
                text.push_str(if contents.is_empty() { " " } else { contents });
                column += 1;
            }
            element(&mut out, (row, start), &text, &style);
        }
    }
    out + "</svg>"
}

#[derive(PartialEq)]
struct Style {
    ink: String,
    ground: Option<String>,
    bold: bool,
}

fn style_of(screen: &vt100::Screen, row: u16, column: u16) -> Style {
    let Some(cell) = screen.cell(row, column) else { return Style { ink: String::new(), ground: None, bold: false } };
    let (mut ink, mut ground) = (colour(cell.fgcolor()), colour(cell.bgcolor()));
    if cell.inverse() {
        (ink, ground) = (ground.or_else(|| Some("#16181d".into())), ink.or_else(|| Some("#d7dae0".into())));
    }
    let ink = ink.unwrap_or_else(|| if cell.dim() { "#8a9099".into() } else { "#d7dae0".into() });
    Style { ink, ground, bold: cell.bold() }
}

fn colour(colour: vt100::Color) -> Option<String> {
    const PALETTE: [&str; 16] = [
        "#282c34", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d7dae0", "#7f848e", "#ef8891",
        "#b5e08f", "#f0d08a", "#84c4ff", "#d99bf0", "#7fd4de", "#ffffff",
    ];
    match colour {
        vt100::Color::Default => None,
        vt100::Color::Idx(index) => PALETTE.get(usize::from(index)).map(|name| (*name).to_owned()),
        vt100::Color::Rgb(r, g, b) => Some(format!("#{r:02x}{g:02x}{b:02x}")),
    }
}

fn element(out: &mut String, (row, column): (u16, u16), text: &str, style: &Style) {
    let (x, y) = (12.0 + CELL.0 * f32::from(column), 12.0 + CELL.1 * f32::from(row));
    let width = CELL.0 * f32::from(u16::try_from(text.chars().count()).unwrap_or(COLUMNS));
    if let Some(ground) = &style.ground {
        let _ = writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{}\" fill=\"{ground}\"/>",
            CELL.1
        );
    }
    if text.trim().is_empty() {
        return;
    }
    let weight = if style.bold { " font-weight=\"bold\"" } else { "" };
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{:.1}\" fill=\"{}\"{weight} xml:space=\"preserve\" textLength=\"{width:.1}\">{text}</text>",
        y + 13.5,
        style.ink
    );
}
