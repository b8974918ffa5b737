"""What the system is made of: a bill of materials, and the licences of it all."""
