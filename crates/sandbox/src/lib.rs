//! Processes in namespaces of their own: containers without images, and the lab.
