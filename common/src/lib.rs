//! What two or more actions of Nibs need: the frame that every action runs in (variables, log lines, one error
//! report), and what they know of disks, partition tables and installed systems. Policy stays in the actions.

pub mod action;
pub mod blkid;
pub mod boot;
pub mod cause;
pub mod cloud_init;
pub mod disk;

pub mod efi;
pub mod esp;
pub mod failure;
pub mod installed;
pub mod kernel_image;
pub mod log;
pub mod mount;
pub mod network;
pub mod page;
pub mod root_dir;
pub mod stop;
pub mod sys;
pub mod table;

pub mod values;
pub mod variables;
pub mod verify_boot;
pub mod yaml;
