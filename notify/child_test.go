package notify_test

const childEnv = "NOTIFY_TEST_CHILD"

func child() {}
