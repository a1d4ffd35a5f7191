"""What is asked: one function per field or mutation. Who may, which rule, which records come back."""
