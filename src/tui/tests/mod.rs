//! The screen as its user sees it: screens held as text, what keys and clicks lead to, and any order of messages.

mod behaviour;
mod cluster_behaviour;
mod cluster_screens;
mod finding;
mod fixtures;
mod flow;
mod grid;
mod group;
mod measured_screens;
mod picture;
mod random;
mod scenes;
mod screens;
mod states;
mod world;
