//! The command `nibs`: takes what a user of KKP has (Seed, Hardware, MachineDeployment, user-data), finds what is
//! wrong with it before a server does, and prints the Template and the Workflow that run the actions.

pub mod check;
pub mod cli;
pub mod code;
pub mod convert;
pub mod field;
pub mod finding;
pub mod hardware;
pub mod image_names;
pub mod input;
pub mod machine_deployment;
pub mod network;
pub mod node;
pub mod object;
pub mod reference;
pub mod scalar;
pub mod seed;
pub mod template;
pub mod user_data;
pub mod workflow;

pub use cli::main;
