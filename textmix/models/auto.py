"""Importing this module registers the model classes with the Auto classes of transformers."""

from transformers import AutoConfig, AutoModelForSequenceClassification, AutoModelForTokenClassification

from textmix.models.encoder_config import MixupEncoderConfig as MixupEncoderConfig
from textmix.models.sequence_classifier import MixupForSequenceClassification as MixupForSequenceClassification
from textmix.models.token_classifier import MixupForTokenClassification as MixupForTokenClassification
from textmix.models.words.fasttext import FastText as FastText
from textmix.models.words.fasttext import FastTextConfig as FastTextConfig
from textmix.models.words.textcnn import TextCNN as TextCNN
from textmix.models.words.textcnn import TextCNNConfig as TextCNNConfig
from textmix.models.words.textrnn import TextRNN as TextRNN
from textmix.models.words.textrnn import TextRNNConfig as TextRNNConfig

AutoConfig.register(MixupEncoderConfig.model_type, MixupEncoderConfig)
AutoModelForSequenceClassification.register(MixupEncoderConfig, MixupForSequenceClassification)
AutoModelForTokenClassification.register(MixupEncoderConfig, MixupForTokenClassification)
for _model in (TextCNN, TextRNN, FastText):
    AutoConfig.register(_model.config_class.model_type, _model.config_class)
    AutoModelForSequenceClassification.register(_model.config_class, _model)
