//! The program as its users meet it: the command line and the screen, on real containers and processes.

mod change;
mod cli;
mod cluster_reader;
mod demo;
mod docker_endpoint;
mod faults;
mod guard;
mod linearizability;
mod measure;
mod network;
mod parsers;
mod pd_tls;
mod recovery;
mod routes;
mod safety;
mod screen;
mod situations;
mod standin;
mod standin_facts;
