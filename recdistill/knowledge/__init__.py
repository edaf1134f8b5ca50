"""What a teacher knows, written down once for any number of students."""
