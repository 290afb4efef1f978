"""Messages (`ledger_pb2`) and the stub (`ledger_pb2_grpc`)."""
